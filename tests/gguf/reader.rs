//! A reader of GGUF version 3, from the format's description.

use std::collections::BTreeMap;

use half::{bf16, f16};

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(u32),
    Integer(i32),
    Float(f32),
    Flag(bool),
    Text(String),
    List(Vec<Value>),
}

impl Value {
    fn as_text(&self) -> &str {
        if let Self::Text(text) = self { text } else { panic!("{self:?} is no text") }
    }
}

pub struct Tensor {
    /// As in safetensors: the slowest first.
    pub shape: Vec<u64>,
    pub kind: u32,
    pub values: Vec<f32>,
}

pub struct Gguf {
    pub metadata: BTreeMap<String, Value>,
    pub tensors: BTreeMap<String, Tensor>,
    /// Tensors in the order of the file.
    pub order: Vec<String>,
}

struct Cursor<'a>(&'a [u8], usize);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        self.1 += N;
        self.0[self.1 - N..self.1].try_into().unwrap()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let len = self.u64() as usize;
        self.1 += len;
        String::from_utf8(self.0[self.1 - len..self.1].to_vec()).unwrap()
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            4 => Value::Number(self.u32()),
            5 => Value::Integer(i32::from_le_bytes(self.take())),
            6 => Value::Float(f32::from_le_bytes(self.take())),
            7 => Value::Flag(match self.take() {
                [0] => false,
                [1] => true,
                other => panic!("{other:?} is no boolean"),
            }),
            8 => Value::Text(self.text()),
            9 => {
                let kind = self.u32();
                Value::List((0..self.u64()).map(|_| self.value(kind)).collect())
            }
            _ => panic!("values of type {kind} are not written"),
        }
    }
}

impl Gguf {
    pub fn read(bytes: &[u8]) -> Self {
        let mut at = Cursor(bytes, 0);
        assert_eq!((&at.take(), at.u32()), (b"GGUF", 3));
        let (tensors, pairs) = (at.u64(), at.u64());
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let (key, kind) = (at.text(), at.u32());
            let value = at.value(kind);
            assert!(metadata.insert(key.clone(), value).is_none(), "{key} is there twice");
        }
        let infos: Vec<(String, Vec<u64>, u32, u64)> = (0..tensors)
            .map(|_| {
                let name = at.text();
                let mut shape: Vec<u64> = (0..at.u32()).map(|_| at.u64()).collect();
                shape.reverse();
                (name, shape, at.u32(), at.u64())
            })
            .collect();
        let start = at.1.next_multiple_of(32);
        assert!(bytes[at.1..start].iter().all(|byte| *byte == 0));
        let (mut found, mut order, mut end) = (BTreeMap::new(), Vec::new(), start);
        for (name, shape, kind, offset) in infos {
            let size = match kind {
                0 => 4,
                1 | 30 => 2,
                _ => panic!("tensors of type {kind} are not written"),
            };
            let from = start + offset as usize;
            assert_eq!((offset % 32, from), (0, end), "{name} begins where the one before ends");
            let len = shape.iter().product::<u64>() as usize * size;
            end = (from + len).next_multiple_of(32);
            assert!(bytes[from + len..end].iter().all(|byte| *byte == 0), "zeros after {name}");
            let value = |element: &[u8]| match kind {
                0 => f32::from_le_bytes(element.try_into().unwrap()),
                1 => f16::from_le_bytes(element.try_into().unwrap()).to_f32(),
                _ => bf16::from_le_bytes(element.try_into().unwrap()).to_f32(),
            };
            let values = bytes[from..from + len].chunks_exact(size).map(value).collect();
            order.push(name.clone());
            assert!(found.insert(name, Tensor { shape, kind, values }).is_none());
        }
        assert_eq!(end, bytes.len());
        Self { metadata, tensors: found, order }
    }

    pub fn number(&self, key: &str) -> Option<u32> {
        self.metadata.get(key).map(|value| match value {
            Value::Number(number) => *number,
            other => panic!("{key} is {other:?}"),
        })
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(Value::as_text)
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.metadata.get(key).map(|value| match value {
            Value::Flag(flag) => *flag,
            other => panic!("{key} is {other:?}"),
        })
    }

    pub fn float(&self, key: &str) -> Option<f32> {
        self.metadata.get(key).map(|value| match value {
            Value::Float(number) => *number,
            other => panic!("{key} is {other:?}"),
        })
    }

    fn list(&self, key: &str) -> &[Value] {
        match &self.metadata[key] {
            Value::List(list) => list,
            other => panic!("{key} is {other:?}"),
        }
    }

    pub fn texts(&self, key: &str) -> Vec<&str> {
        self.list(key).iter().map(Value::as_text).collect()
    }

    pub fn integers(&self, key: &str) -> Vec<i32> {
        let integer = |value: &Value| if let Value::Integer(integer) = value { *integer } else { panic!("{value:?}") };
        self.list(key).iter().map(integer).collect()
    }

    pub fn floats(&self, key: &str) -> Vec<f32> {
        let float = |value: &Value| if let Value::Float(float) = value { *float } else { panic!("{value:?}") };
        self.list(key).iter().map(float).collect()
    }
}
