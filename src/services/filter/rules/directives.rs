//! Directives in rule files that have no effect here.

/// Plugins whose directives are all built in, so that sections for them are in force.
const BUILT_IN_PLUGINS: &[&str] = &["DKIM", "MIMEHeader", "SPF", "TextCat", "WLBLEval"];

/// Features that `if can(...)` finds here: the newer names of lists, and patterns as in Perl 5.10.
const BUILT_IN_FEATURES: &[&str] = &["feature_blocklist_welcomelist", "perl_min_version_5010000"];

/// Whether a plugin, given as `Mail::SpamAssassin::Plugin::Name`, is built in.
pub(super) fn is_built_in(plugin: &str) -> bool {
    let name = plugin.trim().strip_prefix("Mail::SpamAssassin::Plugin::");
    name.is_some_and(|name| BUILT_IN_PLUGINS.contains(&name))
}

/// Whether a feature, given as `Mail::SpamAssassin::Conf::name`, is available.
pub(super) fn is_feature(path: &str) -> bool {
    path.trim().rsplit_once("::").is_some_and(|(_, name)| BUILT_IN_FEATURES.contains(&name))
}

/// Directives that are known but mean nothing here, with what to do instead.
pub(super) const WITHOUT_EFFECT: &[(&[&str], &str)] = &[
    (
        &[
            "report_safe",
            "rewrite_header",
            "add_header",
            "remove_header",
            "clear_headers",
            "report",
            "clear_report_template",
            "report_contact",
            "report_hostname",
            "unsafe_report",
            "fold_headers",
            "report_safe_copy_headers",
            "subjprefix",
        ],
        "messages are never rewritten; X-Spam-Status, -Score, -Level and -Flag are always added",
    ),
    (
        &["required_score", "required_hits"],
        "the score from which a message is unwanted is a setting: see `spam.threshold`, and `spam.recipients` for single recipients",
    ),
    (
        &["trusted_networks", "internal_networks"],
        "the client that delivers a message is judged, and no earlier relay; networks whose mail is accepted unchecked, such as a \
         front end that filters it, are a setting: see `spam.trusted`",
    ),
    (
        &["use_auto_whitelist", "use_auto_welcomelist", "auto_whitelist_path", "auto_whitelist_factor", "txrep_factor"],
        "sender reputation is built in and has settings of its own",
    ),
    (
        &[
            "bayes_path",
            "bayes_file_mode",
            "bayes_store_module",
            "bayes_sql_dsn",
            "bayes_sql_username",
            "bayes_sql_password",
            "bayes_auto_learn",
            "bayes_auto_learn_threshold_spam",
            "bayes_auto_learn_threshold_nonspam",
            "bayes_auto_expire",
            "bayes_expiry_max_db_size",
            "bayes_learn_to_journal",
            "bayes_ignore_header",
            "bayes_min_ham_num",
            "bayes_min_spam_num",
            "bayes_use_hapaxes",
            "bayes_sql_override_username",
            "bayes_token_sources",
            "bayes_learn_during_report",
        ],
        "the classifier has settings of its own: see `spam.classifier`",
    ),
    (
        &[
            "skip_rbl_checks",
            "rbl_timeout",
            "dns_server",
            "dns_available",
            "dns_test_interval",
            "dns_options",
            "dns_query_restriction",
            "clear_dns_servers",
            "uridnsbl",
            "urirhsbl",
            "urirhssub",
            "urinsrhsbl",
            "uridnssub",
            "uridnsbl_skip_domain",
            "skip_uribl_checks",
            "rbl_headers",
            "dns_local_ports_permit",
            "dnsbl",
        ],
        "DNS lists have settings of their own: see `spam.dns_lists`",
    ),
    (
        &[
            "priority",
            "shortcircuit",
            "shortcircuit_spam_score",
            "shortcircuit_ham_score",
            "time_limit",
            "rbl_timeout_min",
            "loadplugin",
            "tryplugin",
            "test",
            "reuse",
            "version_tag",
            "require_version",
            "lock_method",
            "user_scores_dsn",
            "allow_user_rules",
            "normalize_charset",
            "clear_trusted_networks",
            "clear_internal_networks",
            "msa_networks",
            "always_trust_envelope_sender",
            "envelope_sender_header",
            "originating_ip_headers",
            "enable_compat",
            "redirector_pattern",
            "util_rb_tld",
            "util_rb_2tld",
            "util_rb_3tld",
            "clear_util_rb",
            "geodb_module",
            "country_db_type",
            "country_db_path",
            "score_set",
            "body_part_scan_size",
            "rawbody_part_scan_size",
            "pyzor_options",
            "razor_config",
            "use_pyzor",
            "use_razor2",
            "use_dcc",
            "dcc_path",
            "pyzor_path",
            "spamcop_from_address",
            "spamcop_to_address",
        ],
        "it controls another program and is not needed here",
    ),
    (
        &[
            "replace_tag",
            "replace_rules",
            "replace_start",
            "replace_end",
            "replace_pre",
            "replace_inter",
            "replace_post",
            "uri_detail",
            "mimeheader_all",
            "askdns",
            "header_checks",
            "uri_block_cc",
            "freemail_domains",
            "freemail_whitelist",
        ],
        "it belongs to a plugin that is not supported; the rules that use it are not in force",
    ),
    (
        &[
            "inactive_languages",
            "textcat_max_languages",
            "textcat_optimal_ngrams",
            "textcat_max_ngrams",
            "textcat_acceptable_score",
            "textcat_acceptable_prob",
        ],
        "languages are recognised in another way; see `spam.recognition` for how sure the recognition must be",
    ),
    (&["include"], "name every rule file in the settings instead: `spam.rules.files`"),
];
