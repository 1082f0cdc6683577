//! Opening folders as models: what is read, what is chosen, what is refused, what is noticed.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;

use merge_studio::format::{DType, Entry, Foreign, Header, HeaderError, INDEX_NAME, IndexError, ReadError, Source};
use merge_studio::model::{
    Family, Folder, IgnoredReason, MAX_SMALL_FILE, Model, ModelError, ModelNotice, OtherFormat, Place, open,
};

/// A safetensors file of F32 vectors: names and lengths.
fn weights(tensors: &[(&str, u64)]) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, elements)| {
        let start = end;
        end += elements * 4;
        Entry { name: (*name).into(), dtype: DType::F32, shape: vec![*elements], start, end }
    });
    let header = Header { tensors: entries.collect(), ..Header::default() };
    let mut file = header.to_bytes();
    file.resize(file.len() + end as usize, 1);
    file
}

fn folder<const N: usize>(files: [(&str, Vec<u8>); N]) -> Folder<Vec<u8>> {
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    Folder { name: "test".into(), files }
}

fn open_now<S: Source>(folder: &Folder<S>) -> Result<Model, ModelError> {
    pollster::block_on(open(folder))
}

fn index(map: &[(&str, &str)]) -> Vec<u8> {
    let weight_map: BTreeMap<&str, &str> = map.iter().copied().collect();
    serde_json::json!({ "metadata": {}, "weight_map": weight_map }).to_string().into_bytes()
}

const CONFIG: &[u8] =
    br#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2, "vocab_size": 3}"#;
const TOKENIZER: &[u8] = br#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2}}}"#;
const TENSORS: [(&str, u64); 3] =
    [("model.embed_tokens.weight", 6), ("model.layers.1.x.weight", 2), ("lm_head.weight", 6)];

#[test]
fn a_whole_folder_opens_without_a_notice() {
    let folder = folder([
        ("README.md", b"# hello".to_vec()),
        ("config.json", CONFIG.to_vec()),
        ("model.safetensors", weights(&TENSORS)),
        ("tokenizer.json", TOKENIZER.to_vec()),
        ("generation_config.json", b"{}".to_vec()),
    ]);
    let model = open_now(&folder).unwrap();
    assert_eq!(model.notices, []);
    assert_eq!(model.family, Family::Llama);
    assert_eq!((model.layers(), model.parameters(), model.size()), (2, 14, 56));
    let config = model.config.as_ref().unwrap();
    assert_eq!(config.architecture.as_deref(), Some("LlamaForCausalLM"));
    assert_eq!((config.vocab_size, config.tied), (Some(3), Some(false)));
    assert_eq!(config.text.as_bytes(), CONFIG);
    assert_eq!(model.vocabulary.as_ref().unwrap().tokens, 3);
    let companions: Vec<&str> = model.companions.keys().map(String::as_str).collect();
    assert_eq!(companions, ["generation_config.json", "tokenizer.json"]);
    // printf '{}' | sha256sum
    let empty = &model.companions["generation_config.json"];
    assert_eq!(empty.len, 2);
    assert_eq!(empty.sha256, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    let tensor = &model.tensors["model.layers.1.x.weight"];
    assert_eq!(model.place("model.layers.1.x.weight"), Place::Layer(1));
    let file = &folder.files["model.safetensors"];
    assert_eq!(tensor.offset + tensor.len + 24, file.len() as u64);
    assert_eq!(folder.weight_sources(&model), [file]);
}

#[test]
fn what_is_missing_is_noticed() {
    let model = open_now(&folder([("model.safetensors", weights(&TENSORS)), ("readme", vec![])])).unwrap();
    assert_eq!(model.notices, [ModelNotice::NoConfig, ModelNotice::NoTokenizer]);
    assert_eq!((model.config, model.vocabulary), (None, None));
}

#[test]
fn a_tokenizer_that_is_not_understood_is_carried_and_noticed() {
    let files = [
        ("model.safetensors", weights(&TENSORS)),
        ("config.json", CONFIG.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
    ];
    let model = open_now(&folder(files)).unwrap();
    assert!(model.companions.contains_key("tokenizer.json"));
    assert!(matches!(&model.notices[..], [ModelNotice::UnknownVocabulary { problem }] if problem.contains("model")));
}

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

#[test]
fn an_index_rules_which_files_are_the_model() {
    let folder = folder([
        (INDEX_NAME, index(&[("a", SHARDS[0]), ("b", SHARDS[1])])),
        (SHARDS[0], weights(&[("a", 1)])),
        (SHARDS[1], weights(&[("b", 1), ("extra", 1)])),
        ("other.safetensors", weights(&[("a", 1)])),
        ("consolidated.safetensors", weights(&[("a", 1)])),
    ]);
    let model = open_now(&folder).unwrap();
    let files: Vec<&str> = model.weight_files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(files, SHARDS);
    assert_eq!((model.tensors["a"].file, model.tensors["b"].file), (0, 1));
    let ignored = |name: &str, reason| ModelNotice::IgnoredFile { name: name.into(), reason };
    assert_eq!(
        model.notices[..3],
        [
            ignored("consolidated.safetensors", IgnoredReason::Consolidated),
            ignored("other.safetensors", IgnoredReason::NotInIndex),
            ModelNotice::NotInIndex(vec!["extra".into()]),
        ]
    );
}

#[test]
fn absent_shards_are_noticed_and_only_their_tensors_are_gone() {
    let map = index(&[("a", SHARDS[0]), ("b", SHARDS[1])]);
    let model = open_now(&folder([(INDEX_NAME, map.clone()), (SHARDS[1], weights(&[("b", 1)]))])).unwrap();
    assert_eq!(model.notices[0], ModelNotice::MissingShards(vec![SHARDS[0].into()]));
    assert_eq!(model.tensors.keys().collect::<Vec<_>>(), ["b"]);
    let none = open_now(&folder([(INDEX_NAME, map), ("x.safetensors", weights(&[("a", 1)]))]));
    assert_eq!(none, Err(ModelError::NoShards(SHARDS.map(String::from).to_vec())));
}

#[test]
fn folders_that_are_no_model_are_refused_with_exactly_their_error() {
    let sound = || weights(&[("a", 1)]);
    let file = |name: &str| name.to_owned();
    let cases = [
        (
            folder([(INDEX_NAME, index(&[("a", SHARDS[0]), ("gone", SHARDS[0])])), (SHARDS[0], sound())]),
            ModelError::NotInShard { tensor: "gone".into(), shard: SHARDS[0].into() },
        ),
        (
            // The index puts a tensor into another shard than the one that holds it.
            folder([
                (INDEX_NAME, index(&[("a", SHARDS[1]), ("b", SHARDS[0])])),
                (SHARDS[0], weights(&[("a", 1)])),
                (SHARDS[1], weights(&[("b", 1)])),
            ]),
            ModelError::NotInShard { tensor: "b".into(), shard: SHARDS[0].into() },
        ),
        (
            folder([(SHARDS[0], sound()), (SHARDS[1], sound())]),
            ModelError::DuplicateTensor { tensor: "a".into(), first: SHARDS[0].into(), second: SHARDS[1].into() },
        ),
        (
            folder([(INDEX_NAME, b"7".to_vec()), (SHARDS[0], sound())]),
            ModelError::Index {
                file: file(INDEX_NAME),
                error: IndexError::Malformed {
                    problem: "invalid type: integer `7`, expected an object with a weight_map at line 1 column 1"
                        .into(),
                },
            },
        ),
        (
            folder([("model.safetensors", b"PK\x03\x04\x14\x00\x00\x00".to_vec()), ("config.json", CONFIG.to_vec())]),
            ModelError::Header { file: file("model.safetensors"), error: HeaderError::Foreign(Foreign::Zip) },
        ),
        (
            folder([("model.safetensors", vec![])]),
            ModelError::Header { file: file("model.safetensors"), error: HeaderError::TooShort { len: 0 } },
        ),
        (
            folder([("model.safetensors", sound()), ("config.json", b"{\n  \"a\": 1,\n}".to_vec())]),
            ModelError::BadConfig { line: 3, column: 1, problem: "trailing comma".into() },
        ),
        (
            folder([("model.safetensors", sound()), ("config.json", b"{\"\xff\"}".to_vec())]),
            ModelError::NotText { file: file("config.json"), at: 2 },
        ),
        (folder([("model.safetensors", weights(&[]))]), ModelError::NoTensors),
        (folder([]), ModelError::NoWeights { nested: None }),
    ];
    for (folder, expected) in cases {
        assert_eq!(open_now(&folder), Err(expected), "{:?}", folder.files.keys());
    }
}

/// A file whose bytes cost nothing, and which counts what is read of it.
struct Counted {
    head: Vec<u8>,
    len: u64,
    reads: Cell<u64>,
    bytes: Cell<u64>,
}

impl Counted {
    fn new(head: Vec<u8>, len: u64) -> Self {
        Self { head, len, reads: Cell::new(0), bytes: Cell::new(0) }
    }
}

impl Source for Counted {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + into.len() as u64);
        assert!(offset + into.len() as u64 <= self.len, "read past the end");
        for (at, byte) in (offset..).zip(into) {
            *byte = self.head.get(at as usize).copied().unwrap_or(at as u8);
        }
        Ok(())
    }
}

/// A file above 4 GB with so many tensors.
fn huge(tensors: u64) -> Counted {
    let bytes = 5_u64 << 30;
    let each = bytes / tensors;
    let entries = (0..tensors).map(|i| Entry {
        name: format!("model.layers.{i}.mlp.weight"),
        dtype: DType::BF16,
        shape: vec![each / 2],
        start: i * each,
        end: (i + 1) * each,
    });
    let head = Header { tensors: entries.collect(), ..Header::default() }.to_bytes();
    let len = head.len() as u64 + bytes;
    Counted::new(head, len)
}

#[test]
fn weights_are_not_read_and_headers_take_one_read_or_two() {
    for (tensors, header_reads) in [(16, 1), (4096, 2)] {
        let folder =
            Folder { name: "huge".into(), files: BTreeMap::from([("model.safetensors".into(), huge(tensors))]) };
        let model = open_now(&folder).unwrap();
        assert_eq!(model.size(), 5 << 30);
        assert_eq!(model.layers(), tensors);
        let file = &folder.files["model.safetensors"];
        assert_eq!(file.reads.get(), header_reads + 64);
        assert_eq!(file.bytes.get(), 65536.max(file.head.len() as u64) + 64 * 4096);
    }
}

#[test]
fn small_files_that_are_not_small_are_not_read() {
    let config = Folder {
        name: "test".into(),
        files: BTreeMap::from([
            ("config.json".into(), Counted::new(vec![], MAX_SMALL_FILE + 1)),
            ("model.safetensors".into(), huge(1)),
        ]),
    };
    let too_large = ModelError::TooLarge { file: "config.json".into(), len: MAX_SMALL_FILE + 1, limit: MAX_SMALL_FILE };
    assert_eq!(open_now(&config), Err(too_large));
    assert_eq!(config.files["config.json"].reads.get(), 0);

    let tokenizer = Folder {
        name: "test".into(),
        files: BTreeMap::from([
            ("tokenizer.json".into(), Counted::new(vec![], MAX_SMALL_FILE + 1)),
            ("model.safetensors".into(), huge(1)),
        ]),
    };
    let model = open_now(&tokenizer).unwrap();
    let reason = IgnoredReason::TooLarge { limit: MAX_SMALL_FILE };
    assert!(model.notices.contains(&ModelNotice::IgnoredFile { name: "tokenizer.json".into(), reason }));
    assert_eq!(tokenizer.files["tokenizer.json"].reads.get(), 0);
}

#[test]
fn the_fingerprint_is_of_contents_not_of_names() {
    let of = |name: &str, file: Vec<u8>| open_now(&folder([(name, file)])).unwrap().fingerprint;
    let file = weights(&[("a", 4)]);
    let fingerprint = of("model.safetensors", file.clone());
    assert_eq!(fingerprint.len(), 64);
    assert_eq!(of("copy.safetensors", file.clone()), fingerprint);
    let mut changed = file;
    *changed.last_mut().unwrap() ^= 1;
    assert_ne!(of("model.safetensors", changed), fingerprint);
    assert_ne!(of("model.safetensors", weights(&[("b", 4)])), fingerprint);
}

#[test]
fn a_read_that_fails_is_reported_with_its_file() {
    struct Gone(u64);
    impl Source for Gone {
        fn len(&self) -> u64 {
            self.0
        }
        async fn read(&self, _: u64, _: &mut [u8]) -> Result<(), ReadError> {
            Err(ReadError::Host("the disk is gone".into()))
        }
    }
    let folder = Folder { name: "test".into(), files: BTreeMap::from([("a.safetensors".into(), Gone(100))]) };
    let error = ReadError::Host("the disk is gone".into());
    assert_eq!(open_now(&folder), Err(ModelError::Read { file: "a.safetensors".into(), error }));
}

#[test]
fn a_lone_file_of_another_format_is_called_by_its_name_whatever_its_bytes_look_like() {
    let pickle = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 and more".to_vec();
    // PyTorch's archives may begin with a small number, which reads as a header that is cut short.
    let archive = b"PK\x03\x04\x00\x00\x00\x00\x00\x00".to_vec();
    for (name, bytes, format) in [
        ("model.gguf", b"GGUF\x03\x00\x00\x00\x22\x01".to_vec(), OtherFormat::Gguf),
        ("model.safetensors", b"GGUF\x03\x00\x00\x00\x22\x01".to_vec(), OtherFormat::Gguf),
        ("model.gguf", b"half".to_vec(), OtherFormat::Gguf),
        ("pytorch_model.bin", pickle.clone(), OtherFormat::PyTorch),
        ("weights", pickle, OtherFormat::PyTorch),
        ("model.pt", archive.clone(), OtherFormat::PyTorch),
        ("model.onnx", b"\x08\x07\x12\x07pytorch".to_vec(), OtherFormat::Foreign),
    ] {
        let refused = Err(ModelError::OtherFormat { file: name.into(), format });
        assert_eq!(open_now(&folder([(name, bytes)])), refused, "{name}");
    }
    assert!(matches!(open_now(&folder([("model.safetensors", archive)])), Err(ModelError::Header { .. })));
    // A safetensors file is one under any name.
    assert!(open_now(&folder([("model.bin", weights(&TENSORS))])).is_ok());
}
