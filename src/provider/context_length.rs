//! Telling from a provider's error that the request was larger than the model's window, and by how much.
//!
//! zeph knows six English phrases and reads no numbers (B-27). Here is a table of what providers and servers say,
//! matched on words alone: case, punctuation, quotes and JSON around them make no difference.

use crate::text::{find, pieces};
use crate::tokens::floor_boundary;

/// A request that did not fit. Both numbers are tokens, as the provider states them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overflow {
    /// What the model takes.
    pub limit: Option<u64>,
    /// What the provider held against it, the room asked for the answer included where it says so. Always above
    /// `limit` when both are known.
    pub actual: Option<u64>,
}

/// Longer errors quote the request; what they say about it comes first.
const READ: usize = 16_384;

/// The words between two parts of a phrase take up at most this, bytes.
const GAP: usize = 100;

/// The error code that leaves no doubt, whatever else is said.
const CODE: &str = "context length exceeded";

/// vLLM's answer when the prompt leaves no room at all: it speaks of the limit on the answer, which has become negative.
const NO_ROOM: &str = "max tokens must be at least 1 got -";

/// What says that the request is too large for the model, in lower case without punctuation. `*` stands for a few words
/// in between.
const PHRASES: &[&str] = &[
    // zeph's six.
    "maximum number of tokens",
    CODE,
    NO_ROOM,
    "maximum context length",
    "prompt is too long",
    "input too long",
    // OpenAI, Azure, Groq, llama.cpp, LM Studio, MiniMax, LiteLLM, Anthropic.
    "exceed*context window",
    "exceed*context length",
    "exceed*context size",
    "exceed*context limit",
    "context window*exceed",
    "context size*exceed",
    "context limit*exceed",
    "contextwindowexceeded",
    "contextlengthexceeded",
    "context overflow",
    "greater than the context length",
    "longer than the context",
    "longer than*context length",
    "larger than the context",
    "does not fit*context",
    "n keep*n ctx",
    "tokens but the configured context size",
    "contextsizeexceeded",
    "contextwindowsizeexceeded",
    "reduce the length of the messages",
    "reduce the length of the prompt",
    "reduce the length of the input",
    "reduce your prompt",
    // Anthropic, and the gateways that pass it on.
    "request too large",
    "request exceeds the maximum size",
    // Bedrock, Vertex, Gemini, Copilot.
    "input is too long",
    "input tokens exceed",
    "number of tokens*exceeds",
    "token count*exceeds",
    "token count*only supports up to",
    "request payload size exceeds",
    // Mistral, Cohere, xAI, Moonshot, Zhipu, Qwen, SiliconFlow, watsonx, Ollama.
    "prompt contains*tokens*too large for model",
    "too many tokens",
    "maximum prompt length",
    "exceeded model token limit",
    "token limit exceeded",
    "exceeds the token limit",
    "prompt exceeds max length",
    "prompt too long",
    "input length*exceed",
    "maximum input length",
    "range of input length should be",
    "prompt tokens*must be less than max seq len",
    "input tokens*cannot exceed",
    "exceed max message tokens",
    "prompt exceeds the length limit",
    "tokens in request more than max tokens allowed",
    "length of all messages is too long",
    "too many input tokens",
    // vLLM.
    "prompt*longer than the maximum model length",
    "prompt*exceeds the max model len",
    "prompt*is too long and exceeds limit",
    "too long to fit into the model",
    // Models in a browser, GitHub Models.
    "input is too large",
    "request body too large",
    "tokens limit reached",
    // Text Generation Inference and what is built on it.
    "inputs tokens + max new tokens must be",
    "inputs must have less than",
];

/// What says that another limit was met: one on time, or one on the answer alone.
const OTHERWISE: &[&str] = &[
    " per min",
    " per second",
    " per hour",
    " per day",
    " per month",
    " daily ",
    " monthly ",
    " tpm ",
    " rate limit",
    " ratelimit",
    " quota",
    " too many requests",
    " please wait",
    " number of output tokens",
    " max tokens must be",
    " maxoutputtokens",
];

/// What says so when the status is 413 already.
const TOO_LARGE: &[&str] = &["too large", "exceed", "too long"];

/// What stands right before the size of the window.
const BEFORE_LIMIT: &[&str] = &[
    "context length is",
    "context length",
    "prompt length is",
    "number of tokens allowed",
    "context window size",
    "context window",
    "context size",
    "context limit",
    "supports up to",
    "model token limit",
    "maximum model length",
    "max model len",
    "allowed input length",
    "configured limit",
    "window limit",
    "window size",
    "exceeds limit of",
    "max size",
    "max seq len",
    "tokens limit",
    "max new tokens must be",
    "must have less than",
    "input length should be 1",
    "cannot exceed",
    "limit for this model is",
    "too large for model with",
    "exceeds the limit of",
    "n ctx",
    "limit is",
];

/// What stands right before the size of the request.
const BEFORE_ACTUAL: &[&str] = &[
    "for a total of",
    "requested a total of",
    "resulted in",
    "requested tokens",
    "requested",
    "request contains",
    "prompt contains",
    "prompt has",
    "request has",
    "token count",
    "prompt is too long",
    "n prompt tokens",
    "prompt tokens",
    "input tokens",
    "output tokens",
    "prompt length",
    "total length",
    "input length",
    "input prompt",
    "the input",
    "n keep",
    "current length is",
    "received",
    "request",
    "given",
];

/// Words that may stand between those and the number.
const FILLERS: &[&str] = &["about", "at", "least", "most", "is", "of", "only", "a"];

/// Reads an error: its HTTP status, if there was one, and its text (a message, or the whole body).
pub(crate) fn overflow(status: Option<u16>, message: &str) -> Option<Overflow> {
    let text = plain(message.get(..floor_boundary(message, READ)).unwrap_or_default());
    if status == Some(413) && text.trim_ascii().is_empty() {
        return Some(Overflow::default());
    }
    let certain = any(&text, &[CODE, NO_ROOM]);
    if !certain && (status == Some(429) || any(&text, OTHERWISE)) {
        return None;
    }
    (any(&text, PHRASES) || (status == Some(413) && any(&text, TOO_LARGE))).then(|| numbers(&text))
}

/// The words of a text in lower case, each after one blank, and a blank at the end. Of punctuation only what compares
/// and adds up numbers remains.
fn plain(message: &str) -> String {
    let mut out = String::with_capacity(message.len() + 2);
    out.push(' ');
    let bytes = message.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    for (at, char) in message.char_indices() {
        if char.is_ascii_alphanumeric() || !char.is_ascii() {
            out.push(char.to_ascii_lowercase());
        } else if char == ',' && at > 0 && digit(at - 1) && (1..4).all(|next| digit(at + next)) && !digit(at + 4) {
            // Groups of three digits are one number.
        } else {
            let spaced = out.ends_with(' ');
            if !spaced {
                out.push(' ');
            }
            if matches!(char, '>' | '+') || (char == '-' && spaced) {
                out.push(char);
                out.push(' ');
            }
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out
}

fn any(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| says(text, phrase))
}

/// Whether the parts of a phrase follow each other closely.
fn says(text: &str, phrase: &str) -> bool {
    let mut parts = pieces(phrase, "*");
    let first = parts.next().unwrap_or_default();
    let mut rest = text;
    // A later occurrence of the first part may be the one that is followed by the others.
    while let Some(at) = find(rest, first) {
        rest = rest.get(at + first.len()..).unwrap_or_default();
        let mut after = rest;
        let follows = |part: &str| {
            let near = after.get(..floor_boundary(after, GAP)).unwrap_or_default();
            let found = find(near, part);
            after = found.and_then(|at| after.get(at + part.len()..)).unwrap_or_default();
            found.is_some()
        };
        if pieces(phrase, "*").skip(1).all(follows) {
            return true;
        }
    }
    false
}

/// The sizes that a text names.
fn numbers(text: &str) -> Overflow {
    // Sizes of another unit say nothing about tokens.
    if any(text, &[" bytes ", " characters ", " chars ", " mb "]) {
        return Overflow::default();
    }
    if let Some((actual, limit)) = compared(text) {
        return Overflow { limit: Some(limit), actual: Some(actual) };
    }
    let limit = BEFORE_LIMIT.iter().find_map(|anchor| after(text, anchor, 1));
    let above = limit.map_or(1, |limit| limit + 1);
    let actual = BEFORE_ACTUAL.iter().find_map(|anchor| after(text, anchor, above)).or_else(|| requested(text, above));
    Overflow { limit, actual }
}

/// Windows and requests have sizes between these, tokens; other numbers are codes and versions.
const SIZES: std::ops::RangeInclusive<u64> = 100..=1_000_000_000;

fn size(word: &str) -> Option<u64> {
    word.parse().ok().filter(|number| SIZES.contains(number))
}

/// The number after an anchor, if it is at least `least`.
fn after(text: &str, anchor: &str, least: u64) -> Option<u64> {
    let mut rest = text;
    while let Some(at) = find(rest, anchor) {
        rest = rest.get(at + anchor.len()..)?;
        if !rest.starts_with(' ') {
            continue;
        }
        let word = rest.split_ascii_whitespace().find(|word| !FILLERS.contains(word));
        if let Some(number) = word.and_then(size).filter(|number| *number >= least) {
            return Some(number);
        }
    }
    None
}

/// `4200 requested`.
fn requested(text: &str, least: u64) -> Option<u64> {
    let mut before = "";
    for word in text.split_ascii_whitespace() {
        if word == "requested" && size(before).is_some_and(|number| number >= least) {
            return size(before);
        }
        before = word;
    }
    None
}

/// `N > M`, `N + K > M` and `K > M - N`, with or without the word "tokens" after a number: the sum and the limit.
fn compared(text: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = text.split_ascii_whitespace().filter(|word| *word != "tokens").collect();
    let word = |at: Option<usize>| at.and_then(|at| words.get(at)).copied().unwrap_or_default();
    for at in 0..words.len() {
        if word(Some(at)) != ">" {
            continue;
        }
        let (Some(left), Some(limit)) = (size(word(at.checked_sub(1))), size(word(Some(at + 1)))) else { continue };
        let mut actual = left;
        if word(at.checked_sub(2)) == "+" {
            actual += size(word(at.checked_sub(3))).unwrap_or(0);
        }
        if word(Some(at + 2)) == "-" {
            actual += size(word(Some(at + 3))).unwrap_or(0);
        }
        if actual > limit {
            return Some((actual, limit));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Overflow, overflow};

    /// Status, text, limit, actual. 0 stands for what is not said.
    const TOO_LONG: &[(u16, &str, u64, u64)] = &[
        // zeph's six, any case.
        (0, "Maximum number of tokens reached for this model", 0, 0),
        (0, "CONTEXT LENGTH EXCEEDED", 0, 0),
        (0, "the maximum context length was passed", 0, 0),
        (0, r#"{"error":{"code":"context_length_exceeded"}}"#, 0, 0),
        (0, "Prompt Is Too Long", 0, 0),
        (0, "input too long", 0, 0),
        // OpenAI and Azure.
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            8_192,
            8_545,
        ),
        (
            400,
            "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 in the completion). Please reduce the length of the messages or completion.",
            4_097,
            4_203,
        ),
        (
            400,
            "This model's maximum context length is 4097 tokens, however you requested 4116 tokens (3860 in your prompt; 256 for the completion). Please reduce your prompt; or completion length.",
            4_097,
            4_116,
        ),
        (400, "Your input exceeds the context window of this model. Please adjust your input and try again.", 0, 0),
        // Anthropic.
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}"#,
            200_000,
            213_462,
        ),
        (
            400,
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again",
            200_000,
            209_573,
        ),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
            0,
            0,
        ),
        (400, r#"{"stop_reason":"model_context_window_exceeded"}"#, 0, 0),
        // Gemini and Vertex.
        (
            400,
            r#"[{"error":{"code":400,"message":"The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).","status":"INVALID_ARGUMENT"}}]"#,
            1_048_575,
            1_196_265,
        ),
        (400, "The input token count exceeds the maximum number of tokens allowed (1048576).", 1_048_576, 0),
        (
            400,
            "Unable to submit request because the input token count is 50000 but model only supports up to 32768. Reduce the input token count and try again.",
            32_768,
            50_000,
        ),
        (400, "Request payload size exceeds the limit: 20971520 bytes.", 0, 0),
        // Mistral and Cohere.
        (
            400,
            r#"{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","code":"3051"}"#,
            32_768,
            40_000,
        ),
        (400, "Prompt contains 8193 tokens, too large for model with 8192", 8_192, 8_193),
        (
            400,
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt.",
            4_081,
            5_000,
        ),
        (
            400,
            "too many tokens: size limit exceeded by 1234 tokens. Try using shorter or fewer inputs. The limit for this model is 4081 tokens.",
            4_081,
            0,
        ),
        // Bedrock.
        (400, "ValidationException: Input is too long for requested model.", 0, 0),
        (
            400,
            "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
            0,
            0,
        ),
        // Local servers.
        (400, "the request exceeds the available context size, try increasing it", 0, 0),
        (
            400,
            r#"{"error":{"code":400,"message":"request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9001,"n_ctx":8192}}"#,
            8_192,
            9_001,
        ),
        (500, "Requested tokens (5000) exceed context window of 4096", 4_096, 5_000),
        (500, "the input length exceeds the context length", 0, 0),
        (400, "prompt too long; exceeded max context length by 200 tokens", 0, 0),
        (
            400,
            "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, the prompt is greater than the context length",
            4_096,
            0,
        ),
        (
            400,
            "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 tokens and your request has 2104 input tokens (2000 > 4096 - 2104). None",
            4_096,
            4_104,
        ),
        (
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 512 output tokens and your prompt contains at least 3585 input tokens, for a total of at least 4097 tokens. Please reduce the length of the input prompt.",
            4_096,
            4_097,
        ),
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4200 `inputs` tokens and 1000 `max_new_tokens`",
            4_097,
            4_200,
        ),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 1207", 1_024, 1_207),
        (
            0,
            "Prompt tokens exceed context window size: number of prompt tokens: 5000; context window size: 4096\nConsider shortening the prompt, or increase `context_window_size`.",
            4_096,
            5_000,
        ),
        // Hosts of others' models.
        (
            400,
            "This endpoint's maximum context length is 200,000 tokens. However, you requested about 246,883 tokens (238,691 of text input, 8,192 in the output). Please reduce the length of either one.",
            200_000,
            246_883,
        ),
        (
            400,
            r#"{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            0,
            0,
        ),
        (
            400,
            "Please reduce the length of the messages or completion. Current length is 9120 while limit is 8192",
            8_192,
            9_120,
        ),
        (400, "The prompt is too long: 132059, model maximum context length: 131071", 131_071, 132_059),
        (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131_072, 537_812),
        (400, "prompt token count of 130127 exceeds the limit of 128000", 128_000, 130_127),
        (400, "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", 8_192, 9_000),
        (400, "invalid params, context window exceeds limit (2013)", 0, 0),
        (400, r#"{"error":{"code":"1261","message":"Prompt exceeds max length"}}"#, 0, 0),
        (400, "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", 30_720, 0),
        (400, "length of prompt_tokens (40960) must be less than max_seq_len (32768).", 32_768, 40_960),
        (400, "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model", 4_096, 5_000),
        (0, "litellm.ContextWindowExceededError: VertexAIException BadRequestError", 0, 0),
        (400, "maximum context length 4096 tokens (5000 requested)", 4_096, 5_000),
        // OpenAI Responses, and its newer models.
        (
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
            0,
            0,
        ),
        (
            400,
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 315893 tokens. Please reduce the length of the messages.",
            272_000,
            315_893,
        ),
        // OpenRouter, passing on what another service says.
        (
            400,
            "Provider returned error: This model's maximum context length is 65536 tokens. However, you requested 71253 tokens (67157 in the messages, 4096 in the completion). Please reduce the length of the messages or completion.",
            65_536,
            71_253,
        ),
        // LM Studio.
        (
            400,
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 5000>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input",
            4_096,
            5_000,
        ),
        (400, "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", 7_424, 15_028),
        (
            500,
            "Reached context length of 4096 tokens with model (arch: llama) that does not currently support mid-generation context overflow. Try reloading with a larger context length or shortening the prompt/chat.",
            4_096,
            0,
        ),
        // SGLang and vLLM.
        (400, "The input (40961 tokens) is longer than the model's context length (40960 tokens).", 40_960, 40_961),
        (
            400,
            "Requested token count exceeds the model's maximum context length of 40960 tokens. You requested a total of 45000 tokens: 37000 tokens from the input messages and 8000 tokens for the completion.",
            40_960,
            45_000,
        ),
        (
            400,
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.",
            4_096,
            5_000,
        ),
        (400, "Input prompt (9001 tokens) is too long and exceeds limit of 8192", 8_192, 9_001),
        (400, "The prompt (total length 9001) is too long to fit into the model (context length 8192).", 8_192, 9_001),
        (400, "Input length (8300) exceeds model's maximum context length (8192).", 8_192, 8_300),
        (400, "max_tokens must be at least 1, got -904.", 0, 0),
        (400, "The engine prompt length 9001 exceeds the max_model_len 8192. Please reduce prompt.", 8_192, 9_001),
        (400, "Prompt has 70000 tokens, but the configured context size is 65536 tokens", 65_536, 70_000),
        (400, "Input length 300000 exceeds the maximum allowed input length of 262144 tokens.", 262_144, 300_000),
        (400, "The total length of all messages is too long.", 0, 0),
        // llama.cpp, in the middle of an answer.
        (500, r#"{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}"#, 0, 0),
        // GitHub Models, Workers AI, Volcengine.
        (
            413,
            r#"{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o model. Max size: 8000 tokens."}}"#,
            8_000,
            0,
        ),
        (
            400,
            "AiError: 5021: The estimated number of input and maximum output tokens (26158) exceeded this model context window limit (24000).",
            24_000,
            26_158,
        ),
        (400, "Total tokens of image and text exceed max message tokens.", 0, 0),
        // Models in the browser.
        (
            0,
            "ContextWindowSizeExceededError: Prompt tokens exceed context window size: number of prompt tokens: 5000; context window size: 4096. Consider shortening the prompt.",
            4_096,
            5_000,
        ),
        (0, "The input is too large.", 0, 0),
        // The status alone, and with a page of the proxy.
        (413, "", 0, 0),
        (413, "  \n", 0, 0),
        (413, "<html><head><title>413 Request Entity Too Large</title></head></html>", 0, 0),
        (413, "Payload Too Large", 0, 0),
        (429, r#"{"code":"context_length_exceeded","message":"rate limit not reached, but too long"}"#, 0, 0),
    ];

    const OTHER: &[(u16, &str)] = &[
        (0, ""),
        (400, ""),
        (0, "some other error"),
        (
            429,
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000.",
        ),
        (
            429,
            "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully.",
        ),
        (
            413,
            r#"{"error":{"message":"Request too large for model `llama-3.3-70b` on tokens per minute (TPM): Limit 6000, Requested 8012, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#,
        ),
        (0, "This request would exceed your organization's rate limit of 30,000 input tokens per minute"),
        (429, "ThrottlingException: Too many tokens, please wait before trying again."),
        (0, "Too many tokens per day, please wait before trying again."),
        (0, "Daily token limit exceeded"),
        (429, "You exceeded your current quota, please check your plan and billing details."),
        (429, "Too many tokens"),
        (429, "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000"),
        (400, "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet"),
        (
            400,
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
        ),
        (
            400,
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
        ),
        (400, "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
        (
            400,
            "Unable to submit request because it has a maxOutputTokens value of 10000 but the supported range is from 1 to 8193",
        ),
        (504, "context deadline exceeded"),
        (
            0,
            "Post \"https://api.example.com/v1/chat\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        ),
        (0, "context canceled"),
        (408, "Request timed out after 120000 ms"),
        (503, "The model is overloaded, 4096 > 2048 requests waiting"),
        (500, "Internal server error"),
        (401, "Incorrect API key provided: sk-abc. You can find your API key in the dashboard."),
        (
            400,
            "Invalid value for 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.",
        ),
        (400, "messages: at least one message is required"),
        (400, "messages.1.content.0: tool_use ids were found without tool_result blocks immediately after"),
        (400, "image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes"),
        (404, "The model `gpt-9` does not exist or you do not have access to it."),
        (400, "context_length must be a positive integer"),
        (400, "max_tokens must be at least 1, got 0."),
        (429, "Input tokens per minute exceed the configured limit of 272000 tokens. Please try again in 2 s."),
        (400, "The answer is longer than the caller wants, see the documentation of max_tokens"),
        (
            400,
            "This endpoint's maximum number of output tokens is 8192. However, you requested 10000 as max_tokens. Please lower it.",
        ),
        (
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 4096 tokens, but can only afford 1200.",
        ),
        (404, "No endpoints found that can handle the requested parameters"),
        (404, "model \"llama9\" not found, try pulling it first"),
        (500, "llama runner process has terminated: cudaMalloc failed: out of memory"),
        (500, "model requires more system memory (9.6 GiB) than is available (5.6 GiB)"),
        (500, "Model unloaded while the request was waiting"),
        (503, r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#),
        (400, "Model max length is not configured"),
        (400, "This model does not support system prompts longer than one message"),
        (400, "num_ctx 4096 is not supported"),
        (413, "upstream said no"),
        (400, "Payload Too Large"),
        (0, "failed to parse the HTTPMessage of the super minimal server: unexpected token < in JSON"),
    ];

    fn status(code: u16) -> Option<u16> {
        (code != 0).then_some(code)
    }

    #[test]
    fn b27_every_wording_of_a_full_window_is_recognised_with_its_numbers() {
        let number = |number: u64| (number != 0).then_some(number);
        for (code, text, limit, actual) in TOO_LONG {
            let expected = Overflow { limit: number(*limit), actual: number(*actual) };
            assert_eq!(overflow(status(*code), text), Some(expected), "{text}");
            assert_eq!(overflow(status(*code), &text.to_ascii_uppercase()), Some(expected), "in capitals: {text}");
        }
    }

    #[test]
    fn other_errors_are_not_a_full_window() {
        for (code, text) in OTHER {
            assert_eq!(overflow(status(*code), text), None, "{text}");
        }
    }

    #[test]
    fn the_number_given_is_above_the_limit_or_not_given() {
        for (code, text, ..) in TOO_LONG {
            if let Some(Overflow { limit: Some(limit), actual: Some(actual) }) = overflow(status(*code), text) {
                assert!(actual > limit, "{text}");
            }
        }
        let odd = overflow(None, "maximum context length is 8192 tokens, you requested 500 tokens");
        assert_eq!(odd, Some(Overflow { limit: Some(8_192), actual: None }));
        let other = overflow(None, "maximum context length is 8192 tokens, you requested 9000 tokens (500 > 8192)");
        assert_eq!(other, Some(Overflow { limit: Some(8_192), actual: Some(9_000) }));
    }

    #[test]
    fn only_the_beginning_of_an_endless_error_is_read() {
        let filler = "é".repeat(super::READ);
        assert_eq!(overflow(None, &format!("{filler} prompt is too long")), None);
        assert!(overflow(None, &format!("prompt is too long {filler}")).is_some());
    }
}
