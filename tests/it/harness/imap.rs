use super::Talk;

/// An IMAP client.
pub struct Imap {
    pub talk: Talk,
    commands: u32,
}

/// The responses to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Untagged lines without `* `; a literal stays in its line, behind its `{length}`.
    pub untagged: Vec<String>,
    /// The tagged line without its tag: `OK ...`, `NO ...`, `BAD ...`.
    pub tagged: String,
}

impl Response {
    /// The untagged lines that hold a word.
    pub fn with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.untagged
            .iter()
            .map(String::as_str)
            .filter(move |line| line.split([' ', '(', ')']).any(|part| part == word))
    }

    /// The numbers of `* SEARCH` or of `* n EXISTS` and the like.
    pub fn number(&self, word: &str) -> Option<u32> {
        self.with(word).next().and_then(|line| line.split(' ').next()?.parse().ok())
    }

    pub fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }
}

impl Imap {
    pub async fn greeted(mut talk: Talk) -> Self {
        let greeting = talk.line().await;
        assert!(greeting.starts_with("* OK") || greeting.starts_with("* PREAUTH"), "{greeting}");
        Self { talk, commands: 0 }
    }

    /// Continues under TLS.
    pub async fn start_tls(mut self, authority: &std::path::Path) -> Self {
        self.ok("STARTTLS").await;
        Self { talk: self.talk.start_tls(authority).await, ..self }
    }

    /// Sends a command and waits for its end.
    pub async fn command(&mut self, command: &str) -> Response {
        let tag = self.begin(command).await;
        self.finish(&tag).await
    }

    /// A command that must succeed.
    pub async fn ok(&mut self, command: &str) -> Response {
        let response = self.command(command).await;
        assert!(response.is_ok(), "{command}: {}", response.tagged);
        response
    }

    /// Sends a command and returns its tag.
    pub async fn begin(&mut self, command: &str) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.talk.send(format!("{tag} {command}\r\n")).await;
        tag
    }

    /// Waits for the end of a command.
    pub async fn finish(&mut self, tag: &str) -> Response {
        let mut untagged = Vec::new();
        loop {
            let line = self.response().await;
            if let Some(tagged) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                return Response { untagged, tagged: tagged.to_owned() };
            }
            let line = line.strip_prefix("* ").unwrap_or_else(|| panic!("`{line}` is not for {tag}"));
            untagged.push(line.to_owned());
        }
    }

    /// One response with its literals; `+` continuations are returned unchanged.
    pub async fn response(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let line = self.talk.line().await;
            let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse::<usize>().ok());
            whole.push_str(&line);
            let Some(length) = literal else { return whole };
            whole.push_str("\r\n");
            whole.push_str(&String::from_utf8_lossy(&self.talk.octets(length).await));
        }
    }

    /// Appends a message with a synchronising literal.
    pub async fn append(&mut self, folder: &str, flags: &str, message: &str) -> Response {
        let tag = self.begin(&format!("APPEND \"{folder}\" ({flags}) {{{}}}", message.len())).await;
        let answer = self.response().await;
        if !answer.starts_with('+') {
            let tagged = answer.strip_prefix(&format!("{tag} ")).unwrap_or(&answer).to_owned();
            return Response { untagged: Vec::new(), tagged };
        }
        self.talk.send(format!("{message}\r\n")).await;
        self.finish(&tag).await
    }
}
