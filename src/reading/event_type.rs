//! The types of the timeline's events that more than one room knows. Those of quantities stand in their table
//! ([`super::Quantity`]).

/// The power of a GPU.
pub const GPU_POWER: &str = "gpu_power_draw";

/// The facts of a GPU.
pub const GPU_FACTS: &str = "gpu_inventory";

/// The power of all GPUs of the fleet, once in each of its cycles.
pub const CLUSTER_POWER: &str = "cluster_gpu_power_total";

/// The source of [`CLUSTER_POWER`].
pub const CLUSTER: &str = "gpu_cluster";

/// The outcome of asking a node: 1 if it answered.
pub const NODE_UP: &str = "node_up";

/// The hours that a station's battery lasts.
pub const BATTERY_RUNTIME: &str = "battery_runtime_estimate";

/// An alert that was raised or cleared.
pub const ALERT: &str = "alert";
