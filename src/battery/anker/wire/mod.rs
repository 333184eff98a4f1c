//! Frames and envelopes to values, and back. Pure: no I/O, no clock.
//!
//! The way of a message: [`read_message`] opens the JSON envelope, [`split`] cuts the frame in it into
//! fields, [`decode`] gives them names, [`DeviceState::merge`] keeps what one serial number said, and
//! [`reading`] says which of it is power and which is charge. Outwards: [`trigger`] and [`status_request`]
//! make frames, [`request_envelope`] wraps them.
//!
//! On live data a frame whose checksum is wrong is to be dropped: its values may be bytes of something else. Of one
//! that is not consistent only the beginning is there.
//!
//! All of it was found out by the authors of anker-solix-api; see NOTICE. `MEANING.md` beside this file says
//! what is read as what, and what is doubtful.

mod command;
mod decode;
mod envelope;
mod frame;
mod hex;
mod json;
mod map;
mod meaning;
mod model;
mod read;
mod split;
mod state;
mod value;

pub use command::{status_request, trigger};
pub use decode::{Decoded, Embedded, decode, decode_json, named_values};
pub use envelope::{
    Account, Body, EnvelopeError, MAX_PAYLOAD_BYTES, Message, read_message, request_envelope,
};
pub use frame::{Field, FieldKind, Frame, FrameError, MsgType};
pub use hex::{from_hex, to_hex};
pub use model::{Model, ModelKind, is_read, model, models};
pub(crate) use read::one_way;
pub use read::{capacity, counts_packs_apart, reading};
pub use split::split;
pub use state::{DeviceState, PACKS};
pub use value::NamedValue;
