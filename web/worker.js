// A worker's first lines: the page's first message brings its compiled module and the address of the module's JavaScript.
self.onmessage = ({ data: [glue, module] }) => {
  import(glue)
    .then(({ default: start }) => start({ module_or_path: module }))
    // Out of the promise, where only an error reaches the page.
    .catch((error) => setTimeout(() => { throw error; }));
};
