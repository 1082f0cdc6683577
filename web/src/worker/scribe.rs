//! A worker for other forms of a finished result: reads its files and writes them again as one GGUF file. It lives for one file.

use js_sys::{Array, Date, Uint8Array};
use merge_studio::model::{self, Folder};
use merge_studio::output::gguf::{self, GgufType, Texts};
use merge_studio::run::{Sink, WriteError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, MessageEvent};

use super::{on_message, say};
use crate::io::{Output, OutputError, Store, WebFile, short_of};
use crate::protocol::{Event, GgufKind};
use crate::wire::{self, ToScribe, words};

/// The file's name in the private file system.
const FILE: &str = "merged-model.gguf";
/// Milliseconds between reports.
const REPORT_EVERY: f64 = 100.0;

/// Becomes a scribe, which writes into the folder of this page's results.
pub(super) fn start(session: String) {
    let handler = on_message(move |event: MessageEvent| {
        let Some((ToScribe { folder, paths, kind }, blobs)) = wire::parse(&event.data()) else { return };
        let session = session.clone();
        spawn_local(async move {
            if let Err(why) = write(session, folder, paths, &blobs, kind).await {
                say(&Event::GgufFailed { why });
            }
        });
    });
    super::scope().set_onmessage(Some(handler.unchecked_ref()));
}

/// Writes the file and hands it out; or says, in words, why not.
async fn write(
    session: String,
    name: String,
    paths: Vec<String>,
    blobs: &JsValue,
    kind: GgufKind,
) -> Result<(), String> {
    let files = blobs.unchecked_ref::<Array>().iter().map(|blob| WebFile::new(blob.unchecked_into::<Blob>()));
    let files = files.collect::<Result<Vec<_>, JsValue>>().map_err(|error| words(&error))?;
    let folder = Folder { name, files: super::by_path(paths, files) };
    let model = model::open(&folder).await.map_err(|error| error.to_string())?;
    let texts = Texts::read(&folder).await.map_err(|error| error.to_string())?;
    let dtype = match kind {
        GgufKind::Same => None,
        GgufKind::F16 => Some(GgufType::F16),
        GgufKind::Bf16 => Some(GgufType::BF16),
        GgufKind::F32 => Some(GgufType::F32),
    };
    let plan = gguf::plan(&model, &texts, dtype).map_err(|error| error.to_string())?;
    let store = Store::open(session).await;
    let output = store.create(None, &[(FILE.to_owned(), plan.len)]).await.map_err(worded)?;
    let mut sink = File { output, left: plan.len };
    let mut done = 0;
    let mut told = 0.0;
    let mut watch = |bytes: u64| {
        done += bytes;
        let now = Date::now();
        if now - told >= REPORT_EVERY {
            told = now;
            say(&Event::GgufProgress { done, total: plan.len });
        }
    };
    let written = plan.write(&folder.weight_sources(&model), &mut sink, &mut watch).await;
    if let Err(error) = written {
        sink.output.close();
        store.remove_file(FILE).await;
        return Err(error.to_string());
    }
    let file = sink.output.finish().await.map_err(worded)?;
    let notices = plan.notices.iter().map(ToString::to_string).collect();
    wire::post(&super::scope(), &Event::GgufDone { notices }, file.first().map(AsRef::as_ref), None);
    Ok(())
}

/// The file, as the engine's place to write to.
struct File {
    output: Output,
    /// Bytes that are still to be written.
    left: u64,
}

impl Sink for File {
    async fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        match self.output.write(file, offset, &Uint8Array::from(bytes.as_slice())) {
            Ok(()) => {
                self.left -= bytes.len() as u64;
                Ok(())
            }
            Err(error) => Err(match short_of(error, self.left).await {
                OutputError::NoSpace(short) => WriteError::NoRoom { short: short.unwrap_or(self.left) },
                OutputError::Failed(why) => WriteError::Host(why),
            }),
        }
    }
}

fn worded(error: OutputError) -> String {
    match error {
        OutputError::NoSpace(Some(short)) => WriteError::NoRoom { short }.to_string(),
        OutputError::NoSpace(None) => "there is no room for it".to_owned(),
        OutputError::Failed(why) => why,
    }
}
