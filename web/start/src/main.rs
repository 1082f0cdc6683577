//! The page's program. The browser loads it once; the page and its workers run the same compiled module.

fn main() {
    merge_studio_web::start();
}
