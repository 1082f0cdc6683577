//! The page: yew on the page thread.

fn main() {
    merge_studio_web::ui::mount();
}
