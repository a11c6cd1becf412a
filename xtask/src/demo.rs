//! `cargo xtask start`: builds everything, shows the terminal program, serves the web page.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::manifest::Manifest;
use crate::process::{call, npm_bin};
use crate::{build, install, serve};

#[derive(Debug, Default)]
pub struct Options {
    pub port: Option<u16>,
    /// Stop after the demo and one request to the page.
    pub once: bool,
}

pub fn start(manifest: &Manifest, options: &Options) -> Result<()> {
    install::node(manifest)?;
    install::npm_packages()?;
    if build::is_fresh(manifest, Path::new("pkg")) {
        println!("pkg/wasm is up to date.");
    } else {
        build::build(manifest, &build::Options::default())?;
    }
    build_page(manifest)?;

    println!("\nIn the terminal:\n");
    let command = manifest.demo.command.iter().map(String::as_str);
    call("node", std::iter::once("pkg/bin/epitome.js").chain(command)).run()?;

    let listener = serve::listen(options.port, manifest.demo.port)?;
    let port = listener.local_addr()?.port();
    let root = manifest.demo.page_out.clone();
    if options.once {
        std::thread::spawn(move || serve::run(&listener, &root));
        check_page(port)?;
        println!("\nThe page answers at http://127.0.0.1:{port}/");
        return Ok(());
    }
    println!("\nIn the browser (Ctrl-C to stop):\n\n  http://127.0.0.1:{port}/");
    serve::run(&listener, &root)
}

/// Builds the web page with Vite.
pub fn build_page(manifest: &Manifest) -> Result<()> {
    let page = manifest.demo.page.display().to_string();
    // Vite takes this folder relative to the page's.
    let out = std::path::absolute(&manifest.demo.page_out)?.display().to_string();
    let config = format!("{page}/vite.config.ts");
    let arguments = ["build", &page, "--config", &config, "--outDir", &out, "--emptyOutDir", "--logLevel", "warn"];
    println!("\nThe web page:");
    npm_bin("vite/bin/vite.js", arguments).run()
}

/// Asks the server for the page, as a browser would.
fn check_page(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("the server does not answer")?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let expected = ["HTTP/1.1 200 OK", "content-security-policy: ", "content-type: text/html", "<script"];
    for text in expected {
        if !answer.contains(text) {
            bail!("the page's answer has no `{text}`:\n{answer}");
        }
    }
    Ok(())
}
