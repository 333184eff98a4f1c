//! The broker: certificate, connection, subscriptions.
