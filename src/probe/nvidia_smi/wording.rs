//! Failures and faults in the words of nvidia-smi and its driver.

use crate::reading::{FailureKind, FaultKind, Wordings};

/// An empty message is that of every tool.
pub(in crate::probe) const FAILURES: Wordings<FailureKind> = &[
    (
        FailureKind::Spawn,
        "",
        "check that the OpenSSH client (or nvidia-smi, for a local host) is installed here, and its configuration",
    ),
    (
        FailureKind::CommandMissing,
        "nvidia-smi was not found",
        "install the NVIDIA driver's utilities there, or set `nvidia_smi` to its full path",
    ),
    (
        FailureKind::TimeoutMissing,
        "",
        "install coreutils on the host: without it a hung nvidia-smi could not be ended",
    ),
    (FailureKind::ResetRequired, "", "drain the host and run `nvidia-smi --gpu-reset`, or reboot it"),
    (FailureKind::NoPermission, "", "give this user access to /dev/nvidia* on the host"),
    (
        FailureKind::Interrupt,
        "",
        "look for NVRM in the kernel log; reseat the board, or try another PCIe or interrupt setting (`pci=nomsi`, IOMMU)",
    ),
    (
        FailureKind::Inforom,
        "a GPU's infoROM is corrupted",
        "run `nvidia-smi -q` there and see which; the board's maker can repair it",
    ),
    (
        FailureKind::OutOfMemory,
        "no memory was left for NVML",
        "look for what uses up the memory of the host or the login's cgroup",
    ),
    (
        FailureKind::NotSupported,
        "NVML does not support this machine",
        "on a Jetson use tegrastats: its nvidia-smi has no readings; elsewhere update the driver",
    ),
    (FailureKind::NoPower, "", "compare with `nvidia-smi -q -d POWER` on the host"),
    (
        FailureKind::Refused,
        "nvidia-smi refused the query",
        "run the command by hand there; its version may be too old to answer --query-gpu",
    ),
    (
        FailureKind::RemoteExit,
        "nvidia-smi failed",
        "run `nvidia-smi` on the host and look into its kernel log",
    ),
    (
        FailureKind::OutputTooLarge,
        "",
        "run the command by hand there: something else than nvidia-smi answers",
    ),
    (
        FailureKind::Garbled,
        "the answer was not nvidia-smi's",
        "run the command by hand there; a login script or a wrapper may print into it",
    ),
    (
        FailureKind::Timeout,
        "",
        "run nvidia-smi on the host: if it is only slow, enable persistence mode or raise `timeout`",
    ),
    (
        FailureKind::Hung,
        "an earlier nvidia-smi still hangs",
        "look for D state (`ps -o stat,pid,cmd -C nvidia-smi`) and Xid messages on the host; it probably needs a reboot",
    ),
    (
        FailureKind::NoDriver,
        "the NVIDIA driver is not running",
        "load it (`modprobe nvidia`), or install the driver package for the running kernel; \
         in a container give it the GPUs (`--gpus all`, or the NVIDIA runtime)",
    ),
    (
        FailureKind::NoLibrary,
        "libnvidia-ml.so was not found",
        "install the driver's NVML library (package libnvidia-ml1 or nvidia-compute-utils); \
         in a container let it have that of the host (NVIDIA_DRIVER_CAPABILITIES with `utility`)",
    ),
    (
        FailureKind::DriverMismatch,
        "",
        "the driver was upgraded while loaded: reboot the host, or unload and reload the nvidia modules; \
         a container has to be started anew after the host's upgrade",
    ),
    (
        FailureKind::NoGpus,
        "",
        "compare with `lspci | grep -i nvidia` and `sudo nvidia-smi` on the host: if those show GPUs, this login may not \
         see them (Slurm's pam_slurm_adopt, `DevicePolicy` of sshd's unit, modes of /dev/nvidia*); if the board is \
         there and the driver has none, look for NVRM in the kernel log; if there is no GPU, take the host out of the inventory",
    ),
    (
        FailureKind::Blocked,
        "",
        "on WSL, end it with `wsl --shutdown` after a driver update on Windows, and start it from a signed-in desktop, \
         not from a service or an SSH session of Windows; elsewhere look for a policy that denies /dev/nvidia*",
    ),
    (
        FailureKind::InitUnknown,
        "NVML cannot be started",
        "in a container: it has lost its devices, as when the host's systemd was reloaded (`systemctl daemon-reload`); \
         restart it, and for good give it the devices by name (`--device=/dev/nvidia0` … or CDI); \
         on a host: look for NVRM and Xid messages in the kernel log",
    ),
];

/// The same of faults.
pub(in crate::probe) const FAULTS: Wordings<FaultKind> = &[
    (
        FaultKind::ResetRequired,
        "",
        "end what uses it and run `nvidia-smi --gpu-reset -i <index>` as root, or reboot the host",
    ),
    (FaultKind::NoPermission, "", "give this user access to /dev/nvidia* on the host"),
    (FaultKind::NoPower, "", "compare with `nvidia-smi -q -d POWER` on the host"),
    (FaultKind::ImplausiblePower, "", "compare with `nvidia-smi -q -d POWER` on the host"),
    (FaultKind::Implausible, "", "compare with `nvidia-smi -q -d POWER` on the host"),
    (FaultKind::KindChanged, "", "compare with `nvidia-smi -q -d POWER` on the host"),
    (
        FaultKind::RecoveryAction,
        "",
        "drain the host and do what it asks for (`nvidia-smi --gpu-reset`, or a reboot)",
    ),
    (
        FaultKind::Warning,
        "nvidia-smi warns",
        "the readings stand; see what `nvidia-smi -q` says of this board",
    ),
    (
        FaultKind::PersistenceOff,
        "persistence mode is off, so each poll loads the driver; run `nvidia-smi -pm 1` or enable nvidia-persistenced",
        "",
    ),
];
