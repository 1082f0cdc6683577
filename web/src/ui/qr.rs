//! A link as a QR code: one path of an SVG, sharp at every size.

use qrcodegen::{QrCode as Code, QrCodeEcc};
use yew::prelude::*;

use super::words::run as words;

/// Quiet modules around the code, as the standard wants them.
const BORDER: i32 = 4;

/// The picture, or words where the text is too long for one.
pub fn qr_code(text: &str) -> Html {
    let Some((size, path)) = drawing(text) else { return html! { <p class="note">{ words::QR_TOO_LONG }</p> } };
    html! {
        <svg class="qr" role="img" aria-label={words::QR} viewBox={format!("0 0 {size} {size}")} shape-rendering="crispEdges">
            <rect width={size.to_string()} height={size.to_string()} fill="#fff" />
            <path d={path} fill="#000" />
        </svg>
    }
}

/// Width with its border, and the dark modules as a path.
fn drawing(text: &str) -> Option<(i32, String)> {
    let code = Code::encode_text(text, QrCodeEcc::Low).ok()?;
    let dark =
        (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))).filter(|&(x, y)| code.get_module(x, y));
    let squares: Vec<String> = dark.map(|(x, y)| format!("M{},{}h1v1h-1z", x + BORDER, y + BORDER)).collect();
    let path = squares.concat();
    Some((code.size() + 2 * BORDER, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_drawn_and_a_text_beyond_the_standard_is_not() {
        let (size, path) = drawing("https://example.org/#r=abc").expect("a short text fits");
        assert!(size > 21 && path.starts_with("M4,4"), "the finder pattern stands in the corner");
        assert_eq!(drawing(&"x".repeat(3000)), None);
    }
}
