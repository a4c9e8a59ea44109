//! Settings of storage that speaks S3.

use std::path::PathBuf;

use crate::foundations::settings::Span;

crate::settings! {
    /// Storage that speaks S3, for `s3://bucket/prefix` as `backup.destination` or `backup.remote`.
    pub struct S3Settings {
        /// Its URL, such as `"https://s3.eu-central-1.amazonaws.com"`. Plain `http://` only to this machine.
        pub endpoint: String = String::new(),
        /// Its region, as the storage calls it.
        pub region: String = "us-east-1".to_owned(),
        /// Whether the bucket is named in the path or in the host name.
        pub address_style: AddressStyle = AddressStyle::Path,
        /// The id of the access key. Without one requests are not signed.
        pub access_key: String = String::new(),
        /// File with the secret of the access key.
        pub secret_key_file: Option<PathBuf> = None,
        /// File with certificates of authorities to trust, in PEM. Without one, those of the system.
        pub authorities: Option<PathBuf> = None,
        /// Time for one request, and a second more for each 64 KiB that it sends or receives. After it the request is
        /// tried again.
        pub timeout: Span = Span::seconds(60),
        /// How often a request is tried that fails because of the network or an overloaded storage, with pauses that grow from
        /// half a second to half a minute. After the last try the command fails.
        pub attempts: u32 = 8,
        /// Objects per request when listing; storages return at most 1000.
        pub page: u16 = 1000,
        /// Directory for data being sent and for lists of stored objects. It needs room for twice `pack_size` for each thread
        /// and 50 octets for each message; all of it can be recreated.
        pub cache_directory: PathBuf = PathBuf::from("/var/cache/postrider/backup"),
    }
}

crate::words! {
    /// Where the name of a bucket stands.
    pub enum AddressStyle {
        /// In the path: `https://host/bucket/…`.
        Path = "path",
        /// In the host name: `https://bucket.host/…`.
        Host = "host",
    }
}
