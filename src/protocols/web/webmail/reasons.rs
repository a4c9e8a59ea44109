//! Reasons for refusals, each with a fixed word, so that the page can translate it: its texts have it under `refused_` and
//! that word.

use axum::http::StatusCode;

use crate::foundations::said::{Said, Value};

/// Why something is refused.
#[derive(Debug)]
pub(super) struct Reason {
    /// The word for it.
    pub(super) word: &'static str,
    pub(super) status: StatusCode,
    /// In English, with the names of values in braces.
    pub(super) sentence: &'static str,
}

impl Reason {
    /// With the values that its sentence names.
    pub(super) fn said(&self, values: Vec<(&'static str, Value)>) -> Said {
        Said::new(self.word, self.sentence, values)
    }
}

macro_rules! reasons {
    ($($name:ident $word:literal $status:ident $sentence:literal)*) => {
        $(pub(super) const $name: Reason = Reason { word: $word, status: StatusCode::$status, sentence: $sentence };)*
        #[cfg(test)]
        pub(super) const ALL: &[Reason] = &[$($name),*];
    };
}

reasons! {
    PASSING "passing" SERVICE_UNAVAILABLE
        "The server has a temporary problem. Try again in a moment."
    ELSEWHERE "elsewhere" SERVICE_UNAVAILABLE
        "Your mailboxes are on another server at the moment. Try again soon."
    MAILBOX_FULL "mailbox-full" INSUFFICIENT_STORAGE
        "Your mailbox is full. Delete something, and empty the trash."
    NO_FOLDER "no-folder" NOT_FOUND
        "The folder “{name}” does not exist."
    FOLDER_EXISTS "folder-exists" CONFLICT
        "The folder “{name}” already exists."
    TOO_MANY_FOLDERS "too-many-folders" TOO_MANY_REQUESTS
        "You have {most} folders, which is the limit."
    INTO_ITSELF "into-itself" BAD_REQUEST
        "The folder “{name}” cannot be moved there."
    INBOX_STAYS "inbox-stays" BAD_REQUEST
        "The inbox cannot be created, deleted or moved into itself."
    FOLDER_READ_ONLY "folder-read-only" FORBIDDEN
        "The folder “{name}” can only be read."
    TOO_MANY_KEYWORDS "too-many-keywords" TOO_MANY_REQUESTS
        "The folder “{name}” already has 26 keywords, which is the limit."
    UIDS_EXHAUSTED "uids-exhausted" TOO_MANY_REQUESTS
        "The folder “{name}” cannot number any more messages. Create a new one and move the mail there."
    FOLDER_NAME "folder-name" BAD_REQUEST
        "This is not a valid name for a folder: {why}."
    BLANK_FOLDER_NAME "blank-folder-name" BAD_REQUEST
        "This folder’s name would be invisible."
    FOLDER_FULL "folder-full" CONFLICT
        "Messages in this folder: {count}. Confirm that they are to be deleted with it."
    FOLDER_NEEDED "folder-needed" FORBIDDEN
        "The folder “{name}” has a purpose of its own and can be neither renamed nor deleted."
    NOT_TO_EMPTY "not-to-empty" FORBIDDEN
        "Only the trash and the folder for unwanted mail can be emptied."
    NO_SUCH_FOLDER_HERE "no-such-folder-here" NOT_FOUND
        "This server has no folder for that."
    THERE_ALREADY "there-already" BAD_REQUEST
        "The messages are already in this folder."
    MESSAGE_GONE "message-gone" NOT_FOUND
        "This message is no longer in this folder."
    MESSAGE_TOO_LARGE "message-too-large" PAYLOAD_TOO_LARGE
        "This message is too large to be opened here. Its source can be downloaded as a file."
    NO_PART "no-part" NOT_FOUND
        "The message has no such part."
    NO_ATTACHMENTS "no-attachments" NOT_FOUND
        "The message has no attachments."
    TOO_MANY_MESSAGES "too-many-messages" BAD_REQUEST
        "At most {most} messages at once."
    SEARCH "search" BAD_REQUEST
        "This cannot be searched: {why}."
    SEARCH_DATE "search-date" BAD_REQUEST
        "“{text}” is not a date: write {field}:2026-01-31."
    SEARCH_SIZE "search-size" BAD_REQUEST
        "“{text}” is not a size: write {field}:5M."
    SEARCH_IS "search-is" BAD_REQUEST
        "There is no “{field}:{text}”: write is:unread, is:read, is:flagged, is:answered, is:forwarded, is:draft or has:attachment."
    SEARCH_OR "search-or" BAD_REQUEST
        "OR must be between two conditions."
    SEARCH_EMPTY "search-empty" BAD_REQUEST
        "Write something after “{field}:”, without a space before it."
    SEARCH_LONG "search-long" BAD_REQUEST
        "A search can have at most {most} conditions."
    TOO_MANY_PAGES "too-many-pages" TOO_MANY_REQUESTS
        "Too many pages are open; close one."
    TOO_MANY_ATTACHMENTS "too-many-attachments" BAD_REQUEST
        "A message can have at most {most} attachments."
    UPLOAD_GONE "upload-gone" NOT_FOUND
        "An attachment is no longer here; add it again."
    ATTACHMENT_GONE "attachment-gone" NOT_FOUND
        "An attachment is no longer in its message."
    LETTER_TOO_LARGE "letter-too-large" PAYLOAD_TOO_LARGE
        "The message is too large with its attachments; the limit is {most}."
    FILE_TOO_LARGE "file-too-large" PAYLOAD_TOO_LARGE
        "The file is too large; the limit is {most}."
    NO_ROOM_FOR_UPLOADS "no-room-for-uploads" SERVICE_UNAVAILABLE
        "There is no room for more attachments just now. Save the draft, or try again in a minute."
    NO_PICTURE "no-picture" NOT_FOUND
        "There is no such picture."
    PICTURE_NAME "picture-name" BAD_REQUEST
        "The name of a picture may have letters, digits, `.`, `-` and one `@`, at most 100 in all."
    PICTURE_KIND "picture-kind" BAD_REQUEST
        "Only PNG, JPEG, GIF, WebP and AVIF can be pictures in the text; attach the others."
    TOO_MANY_PEOPLE "too-many-people" BAD_REQUEST
        "The message goes to more than {most} people; send it in parts."
    NOBODY "nobody" BAD_REQUEST
        "Enter at least one recipient."
    NO_ADDRESS "no-address" BAD_REQUEST
        "“{address}” is not a valid address: {why}."
    NOT_YOURS "not-yours" FORBIDDEN
        "{address} is not one of your addresses."
    TOO_MANY_PARTS "too-many-parts" PAYLOAD_TOO_LARGE
        "The formatted text has too many parts; send some of it as a file."
    HTML_TOO_LARGE "html-too-large" PAYLOAD_TOO_LARGE
        "The formatted text is too large; the limit is {most}."
    SENT_ALREADY "sent-already" CONFLICT
        "The message has already been sent; it can no longer be taken back."
    BEING_SENT "being-sent" SERVICE_UNAVAILABLE
        "This letter is being sent by another server. Try again soon: it will not be sent twice."
    PERHAPS_SENT "perhaps-sent" CONFLICT
        "It is not known whether this letter was sent: the server that was sending it stopped midway. Ask the recipient, or wait for an answer. If you close it, it stays a draft, which you can open and send."
    TOO_MANY_LETTERS "too-many-letters" SERVICE_UNAVAILABLE
        "Too many letters are being saved or sent at the moment. Try again soon."
    ANOTHER_LETTER "another-letter" CONFLICT
        "Another letter was already sent with this key. This one was not sent: give it a key of its own."
    NOT_TAKEN "not-taken" BAD_REQUEST
        "The message was not accepted: {why}."
    SILENT "silent" GATEWAY_TIMEOUT
        "The server that has your mailboxes does not answer. Check whether it was done before you try again. Sending again does not send it twice."
    SILENT_READING "silent-reading" GATEWAY_TIMEOUT
        "The server that has your mailboxes does not answer. Try again soon."
    BROKEN "broken" SERVICE_UNAVAILABLE
        "The connection to the server that has your mailboxes broke. Check whether it was done before you try again. Sending again does not send it twice."
    BROKEN_READING "broken-reading" SERVICE_UNAVAILABLE
        "The connection to the server that has your mailboxes broke. Try again soon."
    REQUEST_TOO_LARGE "request-too-large" PAYLOAD_TOO_LARGE
        "The request is too large; the limit is {most} octets."
    BODY_TOO_LARGE "body-too-large" PAYLOAD_TOO_LARGE
        "The request is too large."
    TOO_MUCH_ARRIVES "too-much-arrives" SERVICE_UNAVAILABLE
        "You are sending too much at the moment. Try again soon."
    TOO_MUCH_WAITS "too-much-waits" SERVICE_UNAVAILABLE
        "Too much is waiting for you to receive it at the moment. Try again soon."
    CAME_INCOMPLETE "came-incomplete" BAD_REQUEST
        "The request ended early or arrived too slowly."
    SIGNED_OUT "signed-out" UNAUTHORIZED
        "You are not signed in, or your login has ended."
    NEEDS_TWO_FACTOR "needs-two-factor" FORBIDDEN
        "This account needs two-factor login; turn it on first."
    NOT_ENCRYPTED "not-encrypted" FORBIDDEN
        "This connection is not encrypted, so no password is accepted over it. Use https."
    ACCOUNT_GONE "account-gone" NOT_FOUND
        "The account no longer exists."
    WRONG_PASSWORD "wrong-password" UNAUTHORIZED
        "The address or the password is wrong."
    WRONG_CODE "wrong-code" UNAUTHORIZED
        "This code is wrong or was already used."
    NOT_PROVEN "not-proven" FORBIDDEN
        "The password or the code is wrong, or the code was already used."
    CODE_NEEDED "code-needed" FORBIDDEN
        "A one-time code is needed too."
    OLD_PASSWORD "old-password" FORBIDDEN
        "The current password is wrong."
    SHORT_PASSWORD "short-password" BAD_REQUEST
        "A new password needs at least {least} characters."
    TOO_MANY_TRIES "too-many-tries" TOO_MANY_REQUESTS
        "There were too many attempts. Try again later."
    LOGIN_ENDED "login-ended" NOT_FOUND
        "This login has already ended."
    SIGNATURE_PICTURES_TOO_LARGE "signature-pictures-too-large" PAYLOAD_TOO_LARGE
        "Pictures in signatures may take {most} together. Use smaller ones."
    BROWSER_FORGOTTEN "browser-forgotten" NOT_FOUND
        "This browser is no longer remembered."
    TWO_FACTOR_ON "two-factor-on" CONFLICT
        "Two-factor login is already on."
    NO_SECRET_WAITS "no-secret-waits" NOT_FOUND
        "No secret is waiting for its first code. Begin again."
    NOT_THE_CODE "not-the-code" BAD_REQUEST
        "This is not the code that the secret makes now. Is the clock of the device right?"
    TWO_FACTOR_OFF "two-factor-off" NOT_FOUND
        "Two-factor login is off."
    NO_APP_PASSWORD "no-app-password" NOT_FOUND
        "There is no app password “{name}”."
    APP_PASSWORD_EXISTS "app-password-exists" CONFLICT
        "There is already an app password of this name."
    APP_PASSWORD_NAME "app-password-name" BAD_REQUEST
        "An app password needs a name: one line of at most {most} characters."
    TOO_MANY_APP_PASSWORDS "too-many-app-passwords" TOO_MANY_REQUESTS
        "You have {most} app passwords, which is the limit. Remove one first."
    NO_PURPOSE "no-purpose" BAD_REQUEST
        "Say what the app password is for."
    SHORT_LIFE "short-life" BAD_REQUEST
        "An app password must be valid for at least a day."
    LONG_LIFE "long-life" BAD_REQUEST
        "{most} days are the limit."
    NO_SCRIPT "no-script" NOT_FOUND
        "There is no script “{name}”."
    SCRIPT_NAME "script-name" BAD_REQUEST
        "This is not a valid name for a script: {why}."
    SCRIPT_EXISTS "script-exists" CONFLICT
        "There is already a script “{name}”."
    SCRIPT_CHANGED "script-changed" CONFLICT
        "The script “{name}” has been changed elsewhere meanwhile."
    SCRIPT_ACTIVE "script-active" FORBIDDEN
        "“{name}” is the active script; activate another one first, or none."
    TOO_MANY_SCRIPTS "too-many-scripts" TOO_MANY_REQUESTS
        "You may have at most {most} scripts."
    SCRIPT_TOO_LARGE "script-too-large" PAYLOAD_TOO_LARGE
        "A script may take at most {most}."
    SCRIPTS_TOO_LARGE "scripts-too-large" INSUFFICIENT_STORAGE
        "All scripts together may take at most {most}."
    SCRIPT_MORE "script-more" CONFLICT
        "The script “{name}” contains more than rules can express; replace it only if it is kept."
    SCRIPT_MISTAKE "script-mistake" BAD_REQUEST
        "Line {line}, column {column}: {why}."
    RULE_WRONG "rule-wrong" BAD_REQUEST
        "Rule {rule}: {why}"
    ANSWER_WRONG "answer-wrong" BAD_REQUEST
        "The automatic answer: {why}"
    NO_RECEIPT_WANTED "no-receipt-wanted" CONFLICT
        "This message asks for no receipt, or the question was already answered."
    MESSAGE_CHANGED "message-changed" CONFLICT
        "Another program has just changed this message. Open it again."
    NOT_ONE_CLICK "not-one-click" CONFLICT
        "This list cannot be left with one click: nothing proves that the request is its sender’s."
    LIST_SILENT "list-silent" BAD_GATEWAY
        "The list did not accept the request: {why}."
    PREFERENCES_TOO_LARGE "preferences-too-large" PAYLOAD_TOO_LARGE
        "These preferences are too large; shorten a signature or a response."
    RESPONSE_NAMELESS "response-nameless" BAD_REQUEST
        "A response needs a name."
    IS_CONTACT "is-contact" CONFLICT
        "{address} is in your contacts; remove it there."
    CONTACT_TOO_LARGE "contact-too-large" PAYLOAD_TOO_LARGE
        "This contact is too large; shorten its note."
    NO_MESSAGE_IN_IT "no-message-in-it" BAD_REQUEST
        "This is not a message."
    NO_CONTACTS_IN_IT "no-contacts-in-it" BAD_REQUEST
        "This file has no contacts."
    NO_ADDRESS_BOOK "no-address-book" NOT_FOUND
        "There is no address book."
    CONTACT_GONE "contact-gone" NOT_FOUND
        "This contact no longer exists."
    CONTACT_UNFIT "contact-unfit" BAD_REQUEST
        "This contact cannot be stored: {why}."
    CONTACT_CHANGED "contact-changed" CONFLICT
        "Another program has changed this contact. Open it again."
    ADDRESS_BOOK_FULL "address-book-full" INSUFFICIENT_STORAGE
        "Your address book is full. Remove a contact first."
    EVENT_FOREIGN "event-foreign" CONFLICT
        "Your calendar has this event from another organiser; this message cannot change it."
    EVENT_NEWER "event-newer" CONFLICT
        "Your calendar has a later version of this event."
    NO_ORGANISER "no-organiser" BAD_REQUEST
        "The invitation does not name its organiser, so nobody can be answered."
    NO_CALENDAR "no-calendar" NOT_FOUND
        "There is no calendar for events."
    EVENT_TOO_LARGE "event-too-large" PAYLOAD_TOO_LARGE
        "This event is too large for a calendar."
    EVENT_UNFIT "event-unfit" BAD_REQUEST
        "This invitation cannot be read: {why}."
    NO_ANSWER_TO_NOTE "no-answer-to-note" CONFLICT
        "Your calendar has no event of yours with this sender among its guests."
    CALENDAR_CHANGED "calendar-changed" CONFLICT
        "Another program has just changed your calendar. Open the message again."
    CALENDAR_FULL "calendar-full" INSUFFICIENT_STORAGE
        "Your calendar is full. Remove an event first."
    NO_COPY_KEPT "no-copy-kept" OK
        "The message was sent, but there is no copy in your folder: {why}"
    CALENDAR_AS_IT_WAS "calendar-as-it-was" OK
        "The answer was sent, but your calendar was not changed: {why}"
}
