//! What keeps the session from working, in words for a person.

use crate::battery::anker::mqtt::{MqttError, MqttErrorKind};
use crate::reading::AccountTrouble;

/// What a failure to reach the broker means for a person.
pub(super) fn from_broker(error: &MqttError, needs_person: bool) -> AccountTrouble {
    let kind = match error.kind {
        MqttErrorKind::Credentials => "mqtt_credentials",
        MqttErrorKind::Unreachable | MqttErrorKind::Timeout | MqttErrorKind::Closed => "mqtt_lost",
        MqttErrorKind::BrokerCertificate => "mqtt_broker_certificate",
        MqttErrorKind::Refused => "mqtt_refused",
        MqttErrorKind::Protocol => "mqtt_protocol",
        MqttErrorKind::SubscriptionRefused => "mqtt_subscription_refused",
    };
    let hint = match error.kind {
        MqttErrorKind::Unreachable | MqttErrorKind::Timeout | MqttErrorKind::Closed => {
            "it is tried again; if it stays so, see whether this machine reaches the broker"
        }
        MqttErrorKind::BrokerCertificate => "somebody may stand between; nothing is sent there",
        MqttErrorKind::Credentials | MqttErrorKind::Refused => {
            "a new certificate is asked for once an hour; if it stays so, log in with the phone app and see \
             whether the station is still bound to this account"
        }
        MqttErrorKind::Protocol => "it is tried again",
        MqttErrorKind::SubscriptionRefused => {
            "see with the phone app whether it is still bound to this account, and remove and add it there if \
             the app has no live values either"
        }
    };
    AccountTrouble { kind, message: format!("{error}: {hint}"), needs_person }
}

/// The session has only just begun, or a poll had no more time.
pub(super) fn connecting() -> AccountTrouble {
    AccountTrouble {
        kind: "connecting",
        message: "there is no connection to the Solix cloud and its broker yet: it is tried by itself"
            .to_owned(),
        needs_person: false,
    }
}

/// The account has nothing to read. It is the wrong one, or the wrong server: both let everybody in.
pub(super) fn no_stations() -> AccountTrouble {
    AccountTrouble {
        kind: "no_stations",
        message:
            "the Solix account has no power station, solarbank or panel: see that it is the account of the \
                phone app's owner, and write its `country` into [solix]"
                .to_owned(),
        needs_person: true,
    }
}
