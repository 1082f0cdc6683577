//! Quantized checkpoints, told by their configuration and by their tensors: small integers or 8-bit floats, with scales beside them.
//!
//! Their tensors would be copied or averaged as if they were weights; they are refused as a whole instead, by the name of the method.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Model;
use crate::format::DType;

/// What tells that a model is quantized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantized {
    /// The method: what config.json calls it (`gptq`, `awq`, `bitsandbytes`, `fp8` …), or what its tensors' names are known for. `None`
    /// where neither is known.
    pub method: Option<String>,
    /// A tensor that gives it away, with what it holds; `None` where only config.json says so.
    pub tensor: Option<(String, DType)>,
}

/// Where config.json describes a quantization.
const KEYS: [&str; 2] = ["quantization_config", "compression_config"];

/// Ends of the names of tensors that only quantized checkpoints have, and whose they are. bitsandbytes puts the state of a weight behind its name.
const TENSORS: [(&str, &str); 11] = [
    (".qweight", "gptq or awq"),
    (".qzeros", "gptq or awq"),
    (".weight_scale_inv", "fp8"),
    (".weight.absmax", BITSANDBYTES),
    (".weight.quant_map", BITSANDBYTES),
    (".SCB", BITSANDBYTES),
    (".weight_packed", COMPRESSED),
    (".W_q", "hqq"),
    ("_proj_blocks", "mxfp4"),
    ("_proj_scales", "mxfp4"),
    (".qscales", "eetq"),
];

const BITSANDBYTES: &str = "bitsandbytes";
const COMPRESSED: &str = "compressed-tensors";

impl Model {
    /// How the model is quantized, if it is.
    pub fn quantized(&self) -> Option<Quantized> {
        let stated = self.config.as_ref().and_then(|config| stated(&config.text));
        let by_name = |name: &str| TENSORS.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, method)| method);
        let named = self.tensors.iter().find_map(|(name, tensor)| Some((by_name(name)?, name, tensor)));
        // Packed numbers say more than the scales beside them.
        let packed = || self.tensors.iter().find(|(name, tensor)| is_packed(name, tensor.dtype, &tensor.shape));
        let guess = named.map(|(method, ..)| method);
        let tensor = packed().or_else(|| named.map(|(_, name, tensor)| (name, tensor)));
        if stated.is_none() && tensor.is_none() {
            return None;
        }
        let eight_bits = tensor.filter(|(_, tensor)| is_float8(tensor.dtype)).map(|_| "fp8");
        let method = stated.and_then(|stated| stated.method).or_else(|| guess.or(eight_bits).map(str::to_owned));
        Some(Quantized { method, tensor: tensor.map(|(name, tensor)| (name.clone(), tensor.dtype)) })
    }
}

fn is_float8(dtype: DType) -> bool {
    matches!(dtype, DType::F8E4M3 | DType::F8E5M2)
}

/// Numbers of 8 bits, or a matrix of integers where a float weight belongs. (Masks are booleans or bytes, and called a bias.)
fn is_packed(name: &str, dtype: DType, shape: &[u64]) -> bool {
    let integer = !dtype.is_float() && dtype != DType::BOOL;
    is_float8(dtype) || (integer && shape.len() > 1 && name.ends_with(".weight"))
}

/// What a config.json says of a quantization.
struct Stated {
    method: Option<String>,
}

fn stated(config: &str) -> Option<Stated> {
    let root: Value = serde_json::from_str(config).ok()?;
    let nested = root.get("text_config");
    let found = [Some(&root), nested].into_iter().flatten().find_map(|object| {
        KEYS.into_iter().find_map(|key| object.get(key)?.as_object().filter(|settings| !settings.is_empty()))
    })?;
    let named = found.get("quant_method").and_then(Value::as_str).filter(|name| !name.is_empty());
    // Old ones of bitsandbytes are told by their switches.
    let switched = ["load_in_8bit", "load_in_4bit"].into_iter().any(|key| found.get(key) == Some(&Value::Bool(true)));
    Some(Stated { method: named.or(switched.then_some(BITSANDBYTES)).map(str::to_owned) })
}

impl fmt::Display for Quantized {
    /// What stands behind the model's name in a refusal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_deref().unwrap_or("a method that it does not name");
        let Some((tensor, dtype)) = &self.tensor else {
            return write!(
                f,
                "is quantized with {method}, says its config.json, but its tensors are plain: if that is a leftover of a model that \
                 was dequantized, delete quantization_config from config.json"
            );
        };
        write!(
            f,
            "is quantized with {method} ({tensor} holds {dtype}), and coarse numbers with scales cannot be merged: take the model that it \
             was made from"
        )?;
        // What the line says is what transformers can do: with the others it has no way back.
        let load = match self.method.as_deref() {
            Some(BITSANDBYTES | "bitsandbytes_4bit" | "bitsandbytes_8bit") => "'.').dequantize()",
            Some("fp8") => "'.', quantization_config=t.FineGrainedFP8Config(dequantize=True))",
            Some("mxfp4") => "'.', quantization_config=t.Mxfp4Config(dequantize=True))",
            Some(COMPRESSED) => "'.', quantization_config=t.CompressedTensorsConfig(run_compressed=False))",
            _ => return Ok(()),
        };
        write!(
            f,
            ", or dequantize it in its folder, into a new one called plain: python -c \"import transformers as t; \
             m = t.AutoModelForCausalLM.from_pretrained({load}; m.save_pretrained('plain'); \
             t.AutoTokenizer.from_pretrained('.').save_pretrained('plain')\""
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::tests::model_of;
    use crate::model::{Config, Tensor};

    /// A plain model with tensors of these names, types and dimensions besides, and this config.json.
    fn model(config: &str, tensors: &[(&str, DType, &[u64])]) -> Model {
        let mut model = model_of(&["model.layers.0.mlp.up_proj.weight", "lm_head.weight"]);
        for (name, dtype, shape) in tensors {
            let len = dtype.size() * shape.iter().product::<u64>();
            let tensor = Tensor { file: 0, dtype: *dtype, shape: shape.to_vec(), offset: 0, len };
            model.tensors.insert((*name).to_owned(), tensor);
        }
        model.config = (!config.is_empty()).then(|| Config::parse(config.to_owned()).unwrap());
        model
    }

    fn found(config: &str, tensors: &[(&str, DType, &[u64])]) -> Option<(Option<String>, Option<String>)> {
        let found = model(config, tensors).quantized()?;
        Some((found.method, found.tensor.map(|(name, _)| name)))
    }

    fn method(config: &str, name: &str, dtype: DType) -> Option<String> {
        let (method, tensor) = found(config, &[(name, dtype, &[4, 4])]).unwrap();
        assert_eq!(tensor.as_deref(), Some(name));
        method
    }

    #[test]
    fn plain_models_are_not_quantized_whatever_else_they_hold() {
        let buffers: &[(&str, DType, &[u64])] = &[
            ("h.0.attn.bias", DType::U8, &[1, 1, 8, 8]),
            ("bert.embeddings.position_ids", DType::I64, &[1, 8]),
            ("bn.num_batches_tracked", DType::I64, &[]),
            ("mask.weight", DType::BOOL, &[4, 4]),
            ("vision.logit_scale", DType::F32, &[]),
        ];
        for config in
            ["", "{}", r#"{"quantization_config": null}"#, r#"{"quantization_config": {}, "text_config": {}}"#]
        {
            assert_eq!(found(config, buffers), None, "{config}");
        }
    }

    #[test]
    fn the_method_is_what_config_json_calls_it() {
        let config = |quantization: &str| format!(r#"{{"quantization_config": {quantization}}}"#);
        for name in ["gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors", "mxfp4", "aqlm"] {
            let config = config(&format!(r#"{{"quant_method": "{name}", "bits": 4}}"#));
            assert_eq!(method(&config, "model.layers.0.q_proj.qweight", DType::I32).as_deref(), Some(name));
        }
        let old = config(r#"{"load_in_8bit": true}"#);
        assert_eq!(method(&old, "a.SCB", DType::F32).as_deref(), Some("bitsandbytes"));
        let nested = r#"{"text_config": {"quantization_config": {"quant_method": "awq"}}}"#;
        assert_eq!(method(nested, "a.qzeros", DType::I32).as_deref(), Some("awq"));
        let older = r#"{"compression_config": {"quant_method": "compressed-tensors"}}"#;
        assert_eq!(method(older, "a.weight_packed", DType::I32).as_deref(), Some("compressed-tensors"));
        assert_eq!(found(&config(r#"{"bits": 4}"#), &[]), Some((None, None)));
    }

    #[test]
    fn without_a_config_tensors_tell() {
        for (name, dtype, known) in [
            ("model.layers.0.q_proj.qweight", DType::I32, Some("gptq or awq")),
            ("model.layers.0.q_proj.weight_scale_inv", DType::F32, Some("fp8")),
            ("model.layers.0.q_proj.weight", DType::F8E4M3, Some("fp8")),
            ("model.layers.0.q_proj.weight", DType::F8E5M2, Some("fp8")),
            ("model.layers.0.q_proj.weight.absmax", DType::F32, Some("bitsandbytes")),
            ("model.layers.0.q_proj.SCB", DType::F32, Some("bitsandbytes")),
            ("model.layers.0.mlp.experts.down_proj_blocks", DType::U8, Some("mxfp4")),
            ("model.layers.0.q_proj.weight", DType::I8, None),
            ("model.layers.0.q_proj.weight", DType::U8, None),
        ] {
            assert_eq!(method("", name, dtype).as_deref(), known, "{name}");
        }
    }

    #[test]
    fn the_refusal_names_the_method_and_the_way_out() {
        let said = |method: &str, tensor: bool| {
            let tensor = tensor.then(|| ("a.weight".to_owned(), DType::U8));
            Quantized { method: Some(method.to_owned()).filter(|method| !method.is_empty()), tensor }.to_string()
        };
        assert_eq!(
            said("gptq", true),
            "is quantized with gptq (a.weight holds U8), and coarse numbers with scales cannot be merged: take the model that it was made from"
        );
        let fp8 = said("fp8", true);
        assert!(fp8.contains("FineGrainedFP8Config(dequantize=True)); m.save_pretrained('plain')"), "{fp8}");
        assert!(said("bitsandbytes", true).contains("from_pretrained('.').dequantize(); m.save"));
        assert!(said("", true).contains("a method that it does not name"));
        assert!(said("awq", false).contains("delete quantization_config from config.json"));
    }
}
