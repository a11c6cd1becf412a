//! Sizes of images, audio and files. Their data is never read as text: a picture of a megabyte is not a million
//! characters for the model.

use crate::message::{PartKind, fingerprint};
use crate::value::{HostValue, Value};

/// An image at low detail: OpenAI's fixed price.
const IMAGE_LOW: u32 = 85;
/// An image at high or automatic detail: 85 and 170 for each of at most 8 tiles of 512 px (2048 x 768 after scaling).
/// The pixels are not decoded, so the upper bound is taken.
const IMAGE_HIGH: u32 = 1_445;
/// Audio: OpenAI charges 10 tokens a second; compressed speech is rarely below 4 kB a second, so 400 bytes a token.
const AUDIO_BYTES_PER_TOKEN: u64 = 400;
/// Uncompressed speech of 16 kHz and 16 bits: 32 kB a second.
const WAV_BYTES_PER_TOKEN: u64 = 3_200;
/// A file known only by its id, about a dozen pages.
const FILE_UNKNOWN: u32 = 10_000;
/// A document: around 1,500 tokens (text and picture) for a page of at least 30 kB.
const FILE_BYTES_PER_TOKEN: u64 = 20;

/// `{type: "image_url", image_url: {url, detail?}}`
pub(super) fn image<'a>(part: &Value<'a>) -> PartKind<'a> {
    let image = part.get("image_url");
    let url = image.and_then(|image| image.get("url").or(Some(image)));
    let detail = image.and_then(|image| image.get("detail")).and_then(Value::as_str);
    let tokens = if detail == Some("low") { IMAGE_LOW } else { IMAGE_HIGH };
    PartKind::Attachment { tokens, fingerprint: fingerprint_of(url) }
}

/// `{type: "input_audio", input_audio: {data, format}}`
pub(super) fn audio<'a>(part: &Value<'a>) -> PartKind<'a> {
    let audio = part.get("input_audio");
    let data = audio.and_then(|audio| audio.get("data"));
    let wav = audio.and_then(|audio| audio.get("format")).and_then(Value::as_str) == Some("wav");
    let per_token = if wav { WAV_BYTES_PER_TOKEN } else { AUDIO_BYTES_PER_TOKEN };
    PartKind::Attachment { tokens: priced(data, per_token, 1), fingerprint: fingerprint_of(data) }
}

/// `{type: "file", file: {file_data | file_id, filename?}}`
pub(super) fn file<'a>(part: &Value<'a>) -> PartKind<'a> {
    let file = part.get("file");
    let data = file.and_then(|file| file.get_some("file_data"));
    let id = file.and_then(|file| file.get("file_id"));
    let tokens = match data {
        Some(_) => priced(data, FILE_BYTES_PER_TOKEN, 1),
        None => FILE_UNKNOWN,
    };
    PartKind::Attachment { tokens, fingerprint: fingerprint_of(data.or(id)) }
}

/// An earlier spoken answer, referred to by id: its transcript was at most a few hundred tokens.
pub(super) fn spoken(audio: &Value<'_>) -> PartKind<'static> {
    PartKind::Attachment { tokens: 300, fingerprint: fingerprint_of(audio.get("id")) }
}

fn priced(data: Option<&Value<'_>>, bytes_per_token: u64, least: u32) -> u32 {
    let bytes = match data {
        // Base64: four characters carry three bytes.
        Some(Value::String(text)) => text.len() as u64 * 3 / 4,
        Some(Value::Host(HostValue { bytes, .. })) => u64::from(*bytes),
        _ => 0,
    };
    u32::try_from(bytes.div_ceil(bytes_per_token)).unwrap_or(u32::MAX).max(least)
}

fn fingerprint_of(value: Option<&Value<'_>>) -> u64 {
    match value {
        Some(Value::String(text)) => fingerprint(text),
        Some(Value::Host(host)) => u64::from(host.bytes) ^ (1 << 40),
        _ => 0,
    }
}
