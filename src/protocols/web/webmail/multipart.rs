//! Messages of several parts.

/// A multipart that is being written (RFC 2046 §5.1.1).
pub(super) struct Multipart {
    boundary: String,
}

impl Multipart {
    /// Writes all before its first part.
    pub(super) fn begin(kind: &str, boundary: String, out: &mut String) -> Self {
        out.push_str(&format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"));
        Self { boundary }
    }

    /// Writes what stands between two parts.
    pub(super) fn next(&self, out: &mut String) {
        out.push_str(&format!("\r\n--{}\r\n", self.boundary));
    }

    /// Writes what stands behind the last part.
    pub(super) fn end(self, out: &mut String) {
        out.push_str(&format!("\r\n--{}--\r\n", self.boundary));
    }
}
