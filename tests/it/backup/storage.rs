//! An S3 storage: moto.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Host, tools};

/// A storage on this machine.
pub struct Storage {
    pub address: String,
    /// Runs until this is dropped.
    _program: tools::Program,
    pub directory: TempDir,
}

impl Storage {
    /// Starts one with these buckets; `None`, with a message, when moto is not installed.
    pub async fn start(buckets: &[&str], tls: bool) -> Option<Self> {
        let program = find_moto()?;
        let directory = tempfile::tempdir().unwrap();
        let port = tools::free_port().to_string();
        let mut arguments = vec!["-H", "127.0.0.1", "-p", &port];
        let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        if tls {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            fs::write(&certificate, made.cert.pem()).unwrap();
            fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            arguments.extend(["-c", certificate.to_str().unwrap(), "-k", key.to_str().unwrap()]);
        }
        let log = directory.path().join("log");
        let started = tools::start(program.to_str().unwrap(), &arguments, &log)?;
        let scheme = if tls { "https" } else { "http" };
        let storage = Self { address: format!("{scheme}://localhost:{port}"), _program: started, directory };
        for bucket in buckets {
            storage.until_made(bucket).await;
        }
        Some(storage)
    }

    /// Makes a bucket, once the storage answers.
    async fn until_made(&self, bucket: &str) {
        for _ in 0..600 {
            if self.curl(&["-X", "PUT", &format!("{}/{bucket}", self.address)]).is_some() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("moto does not answer: {}", fs::read_to_string(self.directory.path().join("log")).unwrap());
    }

    pub fn curl(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new("curl")
            .args(["-ksSf", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "key:topsecret"])
            .args(arguments)
            .output()
            .unwrap();
        output.status.success().then_some(output.stdout)
    }

    /// The keys in a bucket, as an independent client sees them.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = self.curl(&[&format!("{}/{bucket}?list-type=2", self.address)]).unwrap();
        let text = String::from_utf8(listed).unwrap();
        text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.curl(&[&format!("{}/{bucket}/{key}", self.address)]).unwrap()
    }

    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let file = self.directory.path().join("content");
        fs::write(&file, content).unwrap();
        self.curl(&["-T", file.to_str().unwrap(), &format!("{}/{bucket}/{key}", self.address)]).unwrap();
    }

    /// Adds the access to this storage to a server's configuration.
    pub fn settings(&self, host: &Host, more: &str) {
        self.settings_at(&self.address, host, more);
    }

    /// The same, at another address that leads to it.
    pub fn settings_at(&self, address: &str, host: &Host, more: &str) {
        let secret = self.directory.path().join("secret");
        fs::write(&secret, "topsecret\n").unwrap();
        let config = host.config();
        let text = format!(
            "\n[backup.s3]\nendpoint = \"{}\"\naccess_key = \"key\"\nsecret_key_file = \"{}\"\npage = 2\ncache_directory = \
             \"{}\"\n{more}\n",
            address,
            secret.display(),
            self.cache().display()
        );
        fs::write(&config, fs::read_to_string(&config).unwrap() + &text).unwrap();
    }

    /// Makes a bucket from which nobody can remove an object: everything put into it stays for 30 days. Object Lock can
    /// only be set at creation.
    pub async fn lock(&self, bucket: &str) {
        let at = format!("{}/{bucket}", self.address);
        self.curl(&["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true", &at]).unwrap();
        let plain = "content-type: application/octet-stream";
        let retention = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                         <Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
        self.curl(&["-X", "PUT", "-H", plain, "-d", retention, &format!("{at}?object-lock")]).unwrap();
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "AppendOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                "Resource": format!("arn:aws:s3:::{bucket}/*"),
            }],
        });
        self.curl(&["-X", "PUT", "-H", plain, "-d", &policy.to_string(), &format!("{at}?policy")]).unwrap();
    }

    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }
}

/// `moto_server`: where `.ci/run` installs it, or in the path.
fn find_moto() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
    if own.is_file() { Some(own) } else { tools::find("moto_server") }
}
