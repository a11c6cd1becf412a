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
    /// Who writes the summaries: the base URL of an OpenAI-compatible service. Without it, nobody is asked.
    pub provider: Option<String>,
    pub model: Option<String>,
}

impl Options {
    /// The service and its model; a service without a model is asked for none in particular.
    fn asked(&self) -> Result<Option<(&str, &str)>> {
        match (&self.provider, &self.model) {
            (Some(provider), model) => Ok(Some((provider, model.as_deref().unwrap_or("default")))),
            (None, Some(_)) => bail!("--model needs --provider, the address of its service"),
            (None, None) => Ok(None),
        }
    }
}

pub fn start(manifest: &Manifest, options: &Options) -> Result<()> {
    let asked = options.asked()?;
    install::node(manifest)?;
    install::npm_packages()?;
    if build::is_fresh(manifest, Path::new("pkg")) {
        println!("pkg/wasm is up to date.");
    } else {
        build::build(manifest, &build::Options::default())?;
    }
    build_page(manifest)?;

    println!("\nIn the terminal:\n");
    let demo = &manifest.demo;
    let command = if asked.is_some() { &demo.command_with_model } else { &demo.command };
    let models = asked.map(|(provider, model)| ["--provider", provider, "--model", model]);
    let command = std::iter::once("pkg/bin/epitome.js")
        .chain(command.iter().map(String::as_str))
        .chain(models.into_iter().flatten());
    call("node", command).run()?;

    let listener = serve::listen(options.port, manifest.demo.port)?;
    let port = listener.local_addr()?.port();
    let root = manifest.demo.page_out.clone();
    if options.once {
        std::thread::spawn(move || serve::run(&listener, &root));
        check_page(port)?;
        println!("\nThe page answers at http://127.0.0.1:{port}/");
        return Ok(());
    }
    let query = asked.map(|(provider, model)| format!("?provider={}&model={}", encoded(provider), encoded(model)));
    println!("\nIn the browser (Ctrl-C to stop):\n\n  http://127.0.0.1:{port}/{}", query.unwrap_or_default());
    serve::run(&listener, &root)
}

/// A text as it may stand in the query of an address.
fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::{Options, encoded};

    #[test]
    fn what_goes_into_an_address_is_encoded() {
        assert_eq!(encoded("http://127.0.0.1:1234/v1?a=b&c"), "http://127.0.0.1:1234/v1%3Fa%3Db%26c");
        assert_eq!(encoded("modèle 1"), "mod%C3%A8le%201");
    }

    #[test]
    fn a_model_belongs_to_a_provider() {
        let model = Some("m".to_owned());
        assert!(Options { model: model.clone(), ..Options::default() }.asked().is_err());
        let both = Options { provider: Some("http://x".to_owned()), model, ..Options::default() };
        assert_eq!(both.asked().expect("both"), Some(("http://x", "m")));
    }
}
