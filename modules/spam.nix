# Spam thresholds, and the helpers that examine messages.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  spam = cfg.spam;
  score = types.number;
  own = import ./lib/types.nix { inherit lib; };

  onFailure =
    default:
    mkOption {
      type = types.enum [
        "accept"
        "later"
        "refuse"
      ];
      inherit default;
      example = "later";
      description = "What happens to a message if there is no answer: it is accepted, temporarily refused, or refused.";
    };
  scoreOption =
    description:
    mkOption {
      type = types.nullOr score;
      default = null;
      example = 8.0;
      inherit description;
    };

  languagesOption =
    description:
    mkOption {
      type = types.nullOr (types.listOf (types.strMatching "[a-z]{2,3}"));
      default = null;
      example = [
        "de"
        "en"
      ];
      inherit description;
    };

  recipientType = types.submodule {
    options = {
      threshold = scoreOption "Score from which a message to them is filed into Junk; `null` for that of the site.";
      refuse = scoreOption "Score from which a message to them may be refused; `null` for that of the site.";
      quarantine = scoreOption "Score from which a message to them is kept in quarantine; `null` for that of the site.";
      languages = languagesOption "Languages that they read; `null` for those of the site.";
    };
  };
  listType = types.submodule {
    options = {
      zone = mkOption {
        type = own.domain;
        example = "zen.spamhaus.org";
        description = "Zone of the list.";
      };
      about = mkOption {
        type = types.enum [
          "client"
          "domain"
        ];
        default = "client";
        example = "domain";
        description = "Whether it lists addresses of clients, or domains of senders, signatures and links.";
      };
      weight = mkOption {
        type = score;
        default = 2.0;
        example = 3.5;
        description = "Score for being on the list; negative for a list of good senders.";
      };
    };
  };
  milterType = types.submodule {
    options = {
      name = mkOption {
        type = types.nonEmptyStr;
        example = "opendkim";
        description = "Name in signals and logs.";
      };
      address = mkOption {
        type = types.nonEmptyStr;
        example = "unix:/run/opendkim/opendkim.sock";
        description = "Where it listens: `unix:/path` or `127.0.0.1:8891`. Add the group that may open a Unix socket to `spam.groups`.";
      };
      timeout = mkOption {
        type = own.span;
        default = "30s";
        example = "10s";
        description = "How long to wait for each answer.";
      };
      onFailure = onFailure "accept";
    };
  };

  rspamdSocket = "/run/rspamd/postrider-milter.sock";
  set = lib.filterAttrs (_: value: value != null);
in
{
  options.services.postrider.spam = {
    threshold = mkOption {
      type = score;
      default = 5.0;
      example = 6.5;
      description = "Score from which a message is filed into Junk.";
    };
    quarantine = scoreOption "Score from which a message is kept in quarantine instead of Junk; `null` for never.";
    refuse = mkOption {
      type = score;
      default = 15.0;
      example = 20.0;
      description = "Score from which a message is refused while its sender is still connected.";
    };
    recipients = mkOption {
      type = types.attrsWith {
        elemType = recipientType;
        placeholder = "address or domain";
      };
      default = { };
      example = {
        "sales@example.com".threshold = 8.0;
      };
      description = "Other scores and languages for single addresses or domains.";
    };
    languages = languagesOption "Languages that users read (ISO 639-1): text in another one counts against a message. `null` or an empty list for all.";
    quarantineDigest = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether users get a daily letter that lists their mail in quarantine.";
    };
    rules = mkOption {
      type = types.lines;
      default = "";
      example = ''
        body     LOCAL_LOTTERY  /you have won the lottery/i
        score    LOCAL_LOTTERY  4.0
        describe LOCAL_LOTTERY  A lottery nobody here plays
      '';
      description = "Rules in the syntax of SpamAssassin's `local.cf`, read after the built-in ones; `postrider spam rules` shows how they are understood.";
    };
    greylist = mkEnableOption "greylisting: making doubtful unknown senders try twice";
    firstContact = mkEnableOption "greylisting of senders with whom nobody here has exchanged mail, unless their message is beyond doubt";
    autolearn = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether the classifier cautiously learns by itself, from messages that are clear-cut without it.";
    };
    dnsLists = mkOption {
      type = types.listOf listType;
      default = [ ];
      example = [ { zone = "zen.spamhaus.org"; } ];
      description = "DNS lists to ask about clients and domains. Read their terms of use first; most require your own resolver (see `spam.resolver`).";
    };
    milters = mkOption {
      type = types.listOf milterType;
      default = [ ];
      example = [
        {
          name = "opendkim";
          address = "unix:/run/opendkim/opendkim.sock";
        }
      ];
      description = "External filters that speak Sendmail's milter protocol, asked in this order.";
    };
    groups = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "opendkim" ];
      description = "Additional groups of the mail transfer role, so that it may open the sockets of milters and scanners.";
    };
    rspamd.enable = mkEnableOption "rspamd on this machine as a milter";
    clamav = {
      enable = mkEnableOption "the virus scanner ClamAV on this machine, with its signatures kept up to date";
      onFailure = onFailure "later";
    };
    resolver.enable = mkEnableOption ''
      unbound as a validating resolver on this machine. DNS block lists refuse the resolvers of large providers, and
      DANE needs validated answers; DNSSEC is switched on with it'';
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = spam.refuse > spam.threshold;
          message = "services.postrider.spam: refuse (${toString spam.refuse}) must be greater than threshold (${toString spam.threshold}), or nothing would ever reach Junk.";
        }
        {
          assertion =
            spam.quarantine == null || (spam.quarantine > spam.threshold && spam.quarantine < spam.refuse);
          message = "services.postrider.spam: quarantine (${toString spam.quarantine}) must lie between threshold (${toString spam.threshold}) and refuse (${toString spam.refuse}).";
        }
      ];
      services.postrider.settings.intake = lib.optionalAttrs spam.quarantineDigest {
        digest.enabled = true;
      };
      services.postrider.settings.spam =
        set {
          inherit (spam)
            languages
            quarantine
            refuse
            threshold
            ;
        }
        // lib.optionalAttrs (spam.recipients != { }) {
          recipients = lib.mapAttrs (_: set) spam.recipients;
        }
        // lib.optionalAttrs (spam.rules != "") {
          rules.files = [ "${pkgs.writeText "postrider-rules.cf" spam.rules}" ];
        }
        // lib.optionalAttrs spam.greylist { greylist.enabled = true; }
        // lib.optionalAttrs spam.firstContact { first_contact.enabled = true; }
        // lib.optionalAttrs (!spam.autolearn) { autolearn.enabled = false; }
        // lib.optionalAttrs (spam.dnsLists != [ ]) { dns_lists = spam.dnsLists; }
        // lib.optionalAttrs (spam.milters != [ ]) {
          milters = map (milter: {
            inherit (milter) name address timeout;
            on_failure = milter.onFailure;
          }) spam.milters;
        };
      systemd.services.postrider-mta.serviceConfig.SupplementaryGroups = spam.groups;
    }
    (mkIf spam.rspamd.enable {
      services.rspamd = {
        enable = true;
        workers.rspamd_proxy = {
          type = "rspamd_proxy";
          bindSockets = [
            {
              socket = rspamdSocket;
              mode = "0660";
            }
          ];
          extraConfig = ''
            milter = yes;
            timeout = 30s;
            upstream "local" {
              default = yes;
              self_scan = yes;
            }
          '';
        };
      };
      services.postrider.spam = {
        groups = [ config.services.rspamd.group ];
        milters = [
          {
            name = "rspamd";
            address = "unix:${rspamdSocket}";
          }
        ];
      };
      systemd.services.postrider-mta.after = [ "rspamd.service" ];
    })
    (mkIf spam.clamav.enable {
      services.clamav = {
        daemon.enable = true;
        updater.enable = lib.mkDefault true;
      };
      # It exits while there are no signatures yet, and all mail would wait until somebody starts it.
      systemd.services.clamav-daemon.serviceConfig = {
        Restart = lib.mkDefault "on-failure";
        RestartSec = lib.mkDefault "1min";
      };
      services.postrider = {
        settings.spam.clamav = {
          address = "unix:/run/clamav/clamd.ctl";
          on_failure = spam.clamav.onFailure;
        };
        spam.groups = [ "clamav" ];
      };
    })
    (mkIf spam.resolver.enable {
      services.unbound = {
        enable = true;
        settings.server = {
          interface = [
            "127.0.0.1"
          ]
          ++ lib.optional config.networking.enableIPv6 "::1";
          access-control = [
            "127.0.0.0/8 allow"
          ]
          ++ lib.optional config.networking.enableIPv6 "::1/128 allow";
        };
      };
      services.postrider.settings.dns = {
        dnssec = lib.mkDefault "validate";
        servers = [ "127.0.0.1:53" ];
      };
    })
  ]);
}
