//! The remedies when the broker refuses us, their order, and their pauses. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::battery::anker::mqtt::MqttErrorKind;

/// A new certificate is asked for at most this often, and what was given up is tried anew.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// A broker that does not like a certificate may just close the connection. After so many such losses in a
/// row the certificate is suspected.
const SUSPECT_AFTER: u32 = 3;

/// A remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecoveryAction {
    /// Nothing that is not being done.
    None,
    /// A new certificate.
    NewCertificate,
    /// To call ourselves what the phone app calls itself.
    AppName,
}

/// The refusals so far, and what was tried against them.
#[derive(Debug, Default)]
pub(super) struct BrokerRecovery {
    n_closed: u32,
    renewed_at: Option<Instant>,
    /// A certificate was refused that had just been renewed.
    pub(super) is_refused_again: bool,
    /// The app's form of a name is to be tried.
    pub(super) uses_app_name: bool,
}

impl BrokerRecovery {
    /// The connection stands and every station is heard.
    pub(super) fn subscribed(&mut self) {
        self.n_closed = 0;
        self.is_refused_again = false;
    }

    /// A subscription was refused: a new certificate, then the app's name, then nothing for an hour.
    pub(super) fn subscription_refused(&mut self, now: Instant) -> RecoveryAction {
        self.n_closed = 0;
        if self.renews(now) {
            self.uses_app_name = false;
            return RecoveryAction::NewCertificate;
        }
        let is_tried = std::mem::replace(&mut self.uses_app_name, true);
        if is_tried { RecoveryAction::None } else { RecoveryAction::AppName }
    }

    /// The connection was lost, or could not be made.
    pub(super) fn lost(&mut self, kind: MqttErrorKind, now: Instant) -> RecoveryAction {
        self.n_closed += u32::from(kind == MqttErrorKind::Closed);
        let is_suspect = matches!(kind, MqttErrorKind::Refused | MqttErrorKind::Credentials)
            || (kind == MqttErrorKind::Closed && self.n_closed >= SUSPECT_AFTER);
        if !is_suspect {
            return RecoveryAction::None;
        }
        if self.renews(now) {
            return RecoveryAction::NewCertificate;
        }
        self.is_refused_again = kind == MqttErrorKind::Refused;
        RecoveryAction::None
    }

    /// Whether the certificate is to be renewed now.
    fn renews(&mut self, now: Instant) -> bool {
        let may_renew = self.renewed_at.is_none_or(|at| now.duration_since(at) >= AGAIN_AFTER);
        if may_renew {
            self.renewed_at = Some(now);
        }
        may_renew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn a_refused_subscription_is_met_by_a_certificate_then_a_name_then_patience() {
        let mut recovery = BrokerRecovery::default();
        assert_eq!(recovery.subscription_refused(after(0)), RecoveryAction::NewCertificate);
        assert!(!recovery.uses_app_name);
        assert_eq!(recovery.subscription_refused(after(1)), RecoveryAction::AppName);
        assert!(recovery.uses_app_name);
        assert_eq!(recovery.subscription_refused(after(2)), RecoveryAction::None);
        assert_eq!(recovery.subscription_refused(after(3_600)), RecoveryAction::NewCertificate);
        assert!(!recovery.uses_app_name);
    }

    #[test]
    fn a_refused_certificate_is_renewed_once_an_hour() {
        let mut recovery = BrokerRecovery::default();
        assert_eq!(recovery.lost(MqttErrorKind::Refused, after(0)), RecoveryAction::NewCertificate);
        assert!(!recovery.is_refused_again);
        assert_eq!(recovery.lost(MqttErrorKind::Refused, after(60)), RecoveryAction::None);
        assert!(recovery.is_refused_again);
        assert_eq!(recovery.lost(MqttErrorKind::Refused, after(3_600)), RecoveryAction::NewCertificate);
    }

    #[test]
    fn a_broker_that_just_hangs_up_is_suspected_to_mean_the_certificate() {
        let mut recovery = BrokerRecovery::default();
        assert_eq!(recovery.lost(MqttErrorKind::Closed, after(0)), RecoveryAction::None);
        assert_eq!(recovery.lost(MqttErrorKind::Closed, after(1)), RecoveryAction::None);
        assert_eq!(recovery.lost(MqttErrorKind::Closed, after(2)), RecoveryAction::NewCertificate);
    }

    #[test]
    fn a_broker_that_is_away_says_nothing_about_the_certificate() {
        let mut recovery = BrokerRecovery::default();
        for second in 0..100 {
            assert_eq!(recovery.lost(MqttErrorKind::Unreachable, after(second)), RecoveryAction::None);
        }
    }
}
