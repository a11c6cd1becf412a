//! A small static web server for one folder, on this host only.

use anyhow::{Context, Result};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No inline script, no `eval`; WebAssembly is allowed; requests may go wherever a model is, in the local network without
/// https, too; no form is sent anywhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    connect-src 'self' http: https:; base-uri 'none'; form-action 'none'";

/// How many ports after the preferred one are tried.
const TRIED_PORTS: u16 = 50;
/// A request line and headers longer than this are refused.
const LONGEST_REQUEST: u64 = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on `asked`, or else on the first free port from `preferred`.
pub fn listen(asked: Option<u16>, preferred: u16) -> Result<TcpListener> {
    if let Some(port) = asked {
        return TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("cannot listen on port {port}"));
    }
    let ports = preferred..preferred.saturating_add(TRIED_PORTS);
    ports
        .into_iter()
        .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .with_context(|| format!("no free port from {preferred}; choose one with --port"))
}

/// Serves `root` on a free port until this process ends. Returns the port.
pub fn in_background(root: &Path) -> Result<u16> {
    let listener = listen(Some(0), 0)?;
    let port = listener.local_addr()?.port();
    let root = root.to_owned();
    std::thread::spawn(move || run(&listener, &root));
    Ok(port)
}

/// Answers requests for files in `root`, each connection in a thread of its own. Does not return.
pub fn run(listener: &TcpListener, root: &Path) -> Result<()> {
    let root = root.canonicalize().with_context(|| format!("cannot serve {}", root.display()))?;
    for stream in listener.incoming() {
        let root = root.clone();
        // A connection that breaks concerns only its client.
        std::thread::spawn(move || stream.map(|stream| answer(stream, &root)));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(LONGEST_REQUEST));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (head, body) = respond(&request, root);
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// The answer to a request line: head and body.
fn respond(request: &str, root: &Path) -> (String, Vec<u8>) {
    let mut words = request.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if method != "GET" && method != "HEAD" {
        return plain("405 Method Not Allowed", "only GET and HEAD\n");
    }
    let Some(file) = locate(target, root) else {
        return plain("404 Not Found", "not found\n");
    };
    match fs::read(&file) {
        Ok(bytes) => {
            let head = head("200 OK", mime_type(&file), bytes.len());
            (head, if method == "GET" { bytes } else { Vec::new() })
        }
        Err(_) => plain("404 Not Found", "not found\n"),
    }
}

/// The file a request target names; `None` when there is none inside `root`.
fn locate(target: &str, root: &Path) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?;
    let path = percent_decoded(path.strip_prefix('/')?)?;
    // Resolving links and `..` before comparing keeps every path inside the root.
    let file = root.join(path).canonicalize().ok()?;
    let file = if file.is_dir() { file.join("index.html") } else { file };
    (file.starts_with(root) && file.is_file()).then_some(file)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0') && !path.starts_with('/'))
}

fn plain(status: &str, text: &str) -> (String, Vec<u8>) {
    (head(status, "text/plain; charset=utf-8", text.len()), text.as_bytes().to_vec())
}

fn head(status: &str, mime_type: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {mime_type}\r\ncontent-length: {length}\r\n\
         content-security-policy: {CONTENT_SECURITY_POLICY}\r\nx-content-type-options: nosniff\r\n\
         referrer-policy: no-referrer\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n"
    )
}

fn mime_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{in_background, respond};
    use std::fs;
    use std::io::{Read, Write};
    use std::path::PathBuf;

    /// A folder with a page and a module, beside a file that must not be served.
    fn site(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-serve-{name}-{}", std::process::id()));
        let root = folder.join("site");
        fs::create_dir_all(root.join("assets")).expect("a folder");
        fs::write(root.join("index.html"), "<!doctype html>").expect("a file");
        fs::write(root.join("assets/a b.wasm"), "\0asm").expect("a file");
        fs::write(folder.join("secret.txt"), "secret").expect("a file");
        root.canonicalize().expect("a folder")
    }

    #[test]
    fn files_are_served_with_their_type_and_a_strict_policy() {
        let root = site("types");
        let (head, body) = respond("GET /?x=1 HTTP/1.1", &root);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/html"), "{head}");
        assert!(head.contains("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"), "{head}");
        assert!(head.contains("connect-src 'self' http: https:;"), "{head}");
        assert_eq!(body, b"<!doctype html>");
        let (head, body) = respond("HEAD /assets/a%20b.wasm HTTP/1.1", &root);
        assert!(head.contains("application/wasm") && head.contains("content-length: 4\r\n"), "{head}");
        assert!(body.is_empty());
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let root = site("outside");
        for target in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/assets/../../secret.txt",
            "//etc/passwd",
            "/%2Fetc/passwd",
            "secret.txt",
            "/%",
        ] {
            let (head, _) = respond(&format!("GET {target} HTTP/1.1"), &root);
            assert!(head.starts_with("HTTP/1.1 404"), "{target}: {head}");
        }
        assert!(respond("POST / HTTP/1.1", &root).0.starts_with("HTTP/1.1 405"));
        assert!(respond("", &root).0.starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn it_answers_over_a_socket() {
        let port = in_background(&site("socket")).expect("a port");
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a server");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").expect("writes");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("reads");
        assert!(text.ends_with("<!doctype html>"), "{text}");
    }
}
