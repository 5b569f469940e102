//! Pairs of many kinds, equal on every machine.

/// A prompt and an answer.
pub(crate) struct Pair {
    /// Its kind and its number.
    pub name: String,
    pub prompt: String,
    pub answer: String,
}

/// A linear congruential generator (Knuth, MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn text(&mut self, words: &[&str], least: usize, most: usize) -> String {
        let number = least + self.below(most - least + 1);
        let word = |_| words[self.below(words.len())];
        (0..number).map(word).collect::<Vec<_>>().join(" ")
    }
}

const ENGLISH: &[&str] = &[
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "was",
    "why",
    "how",
    "what",
    "which",
    "sky",
    "blue",
    "light",
    "water",
    "city",
    "people",
    "live",
    "large",
    "small",
    "number",
    "Berlin",
    "Paris",
    "France",
    "capital",
    "molecules",
    "scatter",
    "red",
    "evening",
    "river",
    "mountain",
    "history",
    "war",
    "king",
    "computer",
    "program",
    "writes",
    "reads",
    "answer",
    "question",
    "not",
    "never",
    "3,520,031",
    "1969",
    "0.5",
    "better",
    "worse",
    "evaluator",
    "unbelievably",
    "antidisestablishmentarianism",
    "don't",
    "it's",
    "e-mail",
    "C++",
    "snake_case",
    "https://example.org/a?b=c",
    "(see",
    "above)",
    "...",
    "?",
    "!",
];

const LANGUAGES: &[&[&str]] = &[
    &[
        "Straße",
        "größer",
        "Übung",
        "schön",
        "Äpfel",
        "Donaudampfschifffahrt",
        "ẞ",
    ],
    &["Москва", "столица", "России", "ёлка", "подъезд", "Й"],
    &["Αθήνα", "πρωτεύουσα", "ΐ", "ς", "Ελλάδα"],
    &["北京", "是中国的首都", "天空", "为什么是蓝色的", "𠀀", "々"],
    &["東京", "は日本の首都です", "カタカナ", "ｶﾞ", "が", "ゔ"],
    &["서울", "대한민국의", "수도", "각", "ᄀ"],
    &["القاهرة", "عاصمة", "مصر", "لماذا", "ﷺ", "٣"],
    &["ירושלים", "שלום", "מדוע", "ﬡ"],
    &["दिल्ली", "राजधानी", "क्यों", "नीला", "क़"],
    &["กรุงเทพ", "ทำไม", "ท้องฟ้า", "ำ"],
    &["Hà", "Nội", "thủ", "đô", "Việt", "Nam", "ế", "ê\u{301}"],
    &["İstanbul", "ılık", "ğ", "ﬁne", "Ǆ", "ŉ", "ǅ", "Å", "K"],
];

const EMOJI: &[&str] = &[
    "😀",
    "👍🏽",
    "👨‍👩‍👧‍👦",
    "🇩🇪",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "❤️",
    "☃",
    "1️⃣",
    "🫠",
    "♟︎",
    "🤷🏾‍♀️",
    "ok",
    "good",
    "why",
];

const ODD: &[&str] = &[
    "\0",
    "\u{1}",
    "\t",
    "\n",
    "\r\n",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{7f}",
    "\u{a0}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{200e}",
    "\u{202e}",
    "\u{2028}",
    "\u{2029}",
    "\u{3000}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{e000}",
    "\u{378}",
    "\u{10ffff}",
    "\u{1d54f}",
    "\u{300}\u{300}\u{300}",
    "ﬀ",
    "½",
    "²",
    "a\u{0}b",
    "a\u{200b}b",
    "text",
];

const SPECIAL: &[&str] = &[
    "[SEP]",
    "[CLS]",
    "[PAD]",
    "[UNK]",
    "[MASK]",
    "##ing",
    "[sep]",
    "[ SEP ]",
    "[SEP][SEP]",
    "a[SEP]b",
    "and",
    "good",
];

/// All 541 pairs.
pub(crate) fn all() -> Vec<Pair> {
    let mut random = Random(2026);
    let mut pairs = Vec::new();
    let mut add = |kind: &str, prompt: String, answer: String| {
        let name = format!("{:03} {kind}", pairs.len());
        pairs.push(Pair {
            name,
            prompt,
            answer,
        });
    };
    for (prompt, answer) in [
        ("", ""),
        ("", "Paris."),
        ("What is the capital of France?", ""),
        (" ", "\n"),
        ("a", "a"),
        (
            "How many people live in Berlin?",
            "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
        ),
        (
            "How many people live in Berlin?",
            "New York City is famous for the Metropolitan Museum of Art.",
        ),
        (
            "How many people live in Berlin?",
            "Berlin is well known for its museums.",
        ),
    ] {
        add("plain", prompt.into(), answer.into());
    }
    for _ in 0..309 {
        add(
            "english",
            random.text(ENGLISH, 2, 8),
            random.text(ENGLISH, 1, 16),
        );
    }
    for number in 0..72 {
        let words = LANGUAGES[number % LANGUAGES.len()];
        add(
            "languages",
            random.text(words, 1, 5),
            random.text(words, 1, 10),
        );
    }
    for _ in 0..32 {
        add("emoji", random.text(EMOJI, 1, 5), random.text(EMOJI, 1, 8));
    }
    for _ in 0..48 {
        add("odd", random.text(ODD, 1, 6), random.text(ODD, 1, 10));
    }
    for _ in 0..24 {
        add(
            "special",
            random.text(SPECIAL, 1, 5),
            random.text(SPECIAL, 1, 8),
        );
    }
    for _ in 0..32 {
        add(
            "medium",
            random.text(ENGLISH, 5, 40),
            random.text(ENGLISH, 40, 120),
        );
    }
    for _ in 0..12 {
        add(
            "long",
            random.text(ENGLISH, 5, 400),
            random.text(ENGLISH, 300, 900),
        );
    }
    let hundred_thousand = 100_000;
    let words: String = random.text(ENGLISH, 30_000, 30_000);
    add(
        "huge",
        "How?".into(),
        words.chars().take(hundred_thousand).collect(),
    );
    add(
        "huge",
        "a".repeat(hundred_thousand),
        "b".repeat(hundred_thousand),
    );
    add(
        "huge",
        words.chars().take(hundred_thousand).collect(),
        "The answer.".into(),
    );
    add(
        "huge",
        "\u{200b}".repeat(hundred_thousand),
        "é".repeat(hundred_thousand),
    );
    pairs
}

/// The first pairs of each kind, without slow ones.
pub(crate) fn few(of_each_kind: usize) -> Vec<Pair> {
    let kind = |pair: &Pair| pair.name[4..].to_owned();
    let mut taken: Vec<String> = Vec::new();
    let mut few = all();
    few.retain(|pair| {
        let before = taken.iter().filter(|taken| **taken == kind(pair)).count();
        taken.push(kind(pair));
        before < of_each_kind && pair.prompt.len() + pair.answer.len() < 400
    });
    few
}
