//! Small tokenizers in the layouts of Llama 3 and Mixtral.

use serde_json::{Map, Value, json};

use super::Architecture;

/// `tokenizer.ggml.token_type` of llama.cpp.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

/// Llama 3's split pattern, which unlike others keeps three digits together.
const LLAMA3_SPLIT: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

const LLAMA3_TEMPLATE: &str = concat!(
    "{% set loop_messages = messages %}{% for message in loop_messages %}",
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'",
    "+ message['content'] | trim + '<|eot_id|>' %}",
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}",
    "{{ content }}{% endfor %}",
    "{% if add_generation_prompt %}",
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
);

const MIXTRAL_TEMPLATE: &str = concat!(
    "{{ bos_token }}{% for message in messages %}",
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}",
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}",
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}",
    "{% endif %}{% endfor %}"
);

/// Merges in the order of training.
const LLAMA3_MERGES: [(&str, &str); 9] = [
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("i", "n"),
    ("Ġ", "a"),
    ("a", "n"),
    ("1", "2"),
    ("12", "3"),
    ("123", "4"),
];
const MIXTRAL_MERGES: [(&str, &str); 7] = [
    ("▁", "t"),
    ("h", "e"),
    ("▁t", "he"),
    ("i", "n"),
    ("▁", "a"),
    ("a", "n"),
    ("in", "an"),
];

/// A tokenizer with its settings.
pub(super) struct Tokens {
    architecture: Architecture,
    /// Text and type of each token, by id.
    pub list: Vec<(String, i32)>,
    /// Merges, the first one first.
    pub merges: &'static [(&'static str, &'static str)],
    /// The chat template.
    pub template: &'static str,
    bos: &'static str,
    eos: &'static str,
}

impl Tokens {
    pub(super) fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Llama3 => Self::llama3(),
            Architecture::Mixtral => Self::mixtral(),
        }
    }

    fn llama3() -> Self {
        let bytes = byte_alphabet().map(|letter| (letter.to_string(), NORMAL));
        let special = [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ];
        let special = special.map(|text| (text.to_owned(), CONTROL));
        Self {
            architecture: Architecture::Llama3,
            list: bytes.chain(merged(&LLAMA3_MERGES)).chain(special).collect(),
            merges: &LLAMA3_MERGES,
            template: LLAMA3_TEMPLATE,
            bos: "<|begin_of_text|>",
            eos: "<|eot_id|>",
        }
    }

    fn mixtral() -> Self {
        let special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)];
        let special = special.map(|(text, kind)| (text.to_owned(), kind));
        let bytes = (0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), BYTE));
        // At the end of the list: single letters come after the merged pieces.
        let letters = std::iter::once('▁').chain('!'..='~');
        let letters = letters.map(|letter| (letter.to_string(), NORMAL));
        Self {
            architecture: Architecture::Mixtral,
            list: special
                .into_iter()
                .chain(bytes)
                .chain(merged(&MIXTRAL_MERGES))
                .chain(letters)
                .collect(),
            merges: &MIXTRAL_MERGES,
            template: MIXTRAL_TEMPLATE,
            bos: "<s>",
            eos: "</s>",
        }
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Id of the token that begins a text.
    pub(super) fn bos(&self) -> u32 {
        self.id(self.bos)
    }

    /// Id of the token that ends an answer.
    pub(super) fn eos(&self) -> u32 {
        self.id(self.eos)
    }

    fn id(&self, text: &str) -> u32 {
        let position = self.list.iter().position(|(token, _)| token == text);
        position.expect("a token of the list") as u32
    }

    /// `tokenizer.json`.
    pub(super) fn tokenizer(&self) -> Value {
        let vocabulary: Map<_, _> = self
            .list
            .iter()
            .enumerate()
            .map(|(id, (text, _))| (text.clone(), json!(id)))
            .collect();
        let added: Vec<_> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, (_, kind))| [CONTROL, UNKNOWN].contains(kind))
            .map(|(id, (text, _))| {
                json!({
                    "id": id, "content": text, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true,
                })
            })
            .collect();
        let merges: Vec<_> = self
            .merges
            .iter()
            .map(|(left, right)| json!([left, right]))
            .collect();
        let is_llama = self.architecture == Architecture::Llama3;
        let byte_level = |use_regex: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        // As on the hub: they prepend the first token to every text.
        let begin = json!({
            "type": "TemplateProcessing",
            "single": [
                { "SpecialToken": { "id": self.bos, "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
            ],
            "pair": [
                { "SpecialToken": { "id": self.bos, "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "SpecialToken": { "id": self.bos, "type_id": 1 } },
                { "Sequence": { "id": "B", "type_id": 1 } },
            ],
            "special_tokens": {
                self.bos: { "id": self.bos, "ids": [self.bos()], "tokens": [self.bos] },
            },
        });
        let (normalizer, pre_tokenizer, post_processor, decoder) = match is_llama {
            true => (
                Value::Null,
                json!({ "type": "Sequence", "pretokenizers": [
                    {
                        "type": "Split", "pattern": { "Regex": LLAMA3_SPLIT },
                        "behavior": "Isolated", "invert": false,
                    },
                    byte_level(false),
                ] }),
                json!({ "type": "Sequence", "processors": [byte_level(true), begin] }),
                byte_level(true),
            ),
            false => (
                json!({ "type": "Sequence", "normalizers": [
                    { "type": "Prepend", "prepend": "▁" },
                    { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
                ] }),
                Value::Null,
                begin,
                json!({ "type": "Sequence", "decoders": [
                    { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                    { "type": "ByteFallback" },
                    { "type": "Fuse" },
                    { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
                ] }),
            ),
        };
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": decoder,
            "model": {
                "type": "BPE", "dropout": null,
                "unk_token": (!is_llama).then_some("<unk>"),
                "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": !is_llama, "byte_fallback": !is_llama, "ignore_merges": is_llama,
                "vocab": vocabulary, "merges": merges,
            },
        })
    }

    /// `tokenizer_config.json`.
    pub(super) fn config(&self) -> Value {
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.bos,
            "eos_token": self.eos,
            "chat_template": self.template,
        });
        if self.architecture == Architecture::Mixtral {
            config["unk_token"] = json!("<unk>");
        }
        config
    }
}

fn merged(pairs: &'static [(&str, &str)]) -> impl Iterator<Item = (String, i32)> {
    pairs
        .iter()
        .map(|(left, right)| (format!("{left}{right}"), NORMAL))
}

/// GPT-2's letters for the bytes 0 to 255.
fn byte_alphabet() -> impl Iterator<Item = char> {
    let plain = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut substitute = 255;
    (0..=255u32).map(move |byte| {
        let code = match plain(&byte) {
            true => byte,
            false => {
                substitute += 1;
                substitute
            }
        };
        char::from_u32(code).expect("below the surrogates")
    })
}
