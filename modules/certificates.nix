# Where the TLS certificates come from.
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
    optional
    types
    ;
  cfg = config.services.postrider;
  certs = cfg.certificates;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/hardening.nix { inherit lib; }) harden;
  inherit (import ./lib/credentials.nix) credentialsDirectory;

  roles = [
    "postrider-access.service"
    "postrider-mta.service"
  ];
  acmeDirectory = config.security.acme.certs.${cfg.hostname}.directory;
  sources =
    optional certs.acme.enable {
      name = "acme";
      certFile = "${acmeDirectory}/fullchain.pem";
      keyFile = "${acmeDirectory}/key.pem";
    }
    ++ optional certs.selfSigned {
      name = "self-signed";
      certFile = "${selfSigned}/cert.pem";
      keyFile = "${selfSigned}/key.pem";
    }
    ++ lib.imap0 (n: files: files // { name = "file${toString n}"; }) given;
  # A certificate is not secret: a path literal puts it into the store, and its string context brings it to the machine.
  given = map (files: files // { certFile = "${files.certFile}"; }) certs.files;
  selfSigned = "/var/lib/postrider-self-signed";

  # A systemd credential stays as it was when the unit started, but a certificate is renewed under
  # running roles. So it is copied: this runs again for each new one, and the roles watch the copies for changes.
  passOn = pkgs.writeShellApplication {
    name = "postrider-certificates";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.diffutils
      pkgs.openssl
    ];
    text = ''
      cd "$RUNTIME_DIRECTORY"
      # A directory of its own: a renewal may happen while the machine starts.
      new=$(mktemp -d next.XXXXXX)
      trap 'rm -rf "$new"' EXIT
      # The renewing program writes one file after the other.
      belong_together() {
        local public
        public=$(openssl x509 -in "$1" -noout -pubkey) && [ "$public" = "$(openssl pkey -in "$2" -pubout)" ]
      }
      pass_on() {
        local name=$1 cert=$2 key=$3
        while true; do
          if install -m 0640 "$cert" "$new/cert" && install -m 0640 "$key" "$new/key" &&
            belong_together "$new/cert" "$new/key"; then
            mv "$new/key" "$name-key.pem"
            mv "$new/cert" "$name-cert.pem"
            if cmp -s "$cert" "$name-cert.pem" && cmp -s "$key" "$name-key.pem"; then return; fi
          fi
          if [ "$SECONDS" -ge 60 ]; then
            echo "$cert and $key cannot be read or do not match; the roles keep the old ones" >&2
            exit 1
          fi
          sleep 1
        done
      }
      ${lib.concatMapStringsSep "\n" (
        source:
        lib.escapeShellArgs [
          "pass_on"
          source.name
          source.certFile
          source.keyFile
        ]
      ) sources}
    '';
  };

  passedOn = {
    ExecStart = lib.getExe passOn;
    Group = "postrider-tls";
    RuntimeDirectory = "postrider-certificates";
    RuntimeDirectoryMode = "0750";
    RuntimeDirectoryPreserve = true;
    Type = "oneshot";
  }
  // harden {
    CapabilityBoundingSet = {
      value = "CAP_DAC_READ_SEARCH";
      because = "it reads the files, whoever owns them";
    };
    PrivateUsers = {
      value = false;
      because = "the right to read holds for the owners of the files only where they are known";
    };
    ProtectHome = {
      value = "read-only";
      because = "the files may lie in somebody's home";
    };
    UMask = {
      value = "0027";
      because = "the roles read the files through their group";
    };
  };

  fileType = types.submodule {
    options = {
      certFile = mkOption {
        type = types.path;
        example = "/var/lib/certs/mail.example.com/fullchain.pem";
        description = "PEM file with the certificate, followed by its intermediates.";
      };
      keyFile = mkOption {
        type = own.secretFile;
        example = "/var/lib/certs/mail.example.com/key.pem";
        description = "PEM file with its private key.";
      };
    };
  };
in
{
  options.services.postrider.certificates = {
    acme = {
      enable = mkEnableOption ''
        a certificate from `security.acme`, renewed without a restart. With `reverseProxy.enable`, nginx answers the
        challenges; without it, `security.acme.certs` must say how they are answered'';
      extraDomainNames = mkOption {
        type = types.listOf own.domain;
        default = [ ];
        example = [ "imap.example.com" ];
        description = "Further names in the certificate; clients that connect under them get it by SNI.";
      };
    };
    builtinAcme = {
      enable = mkEnableOption "a certificate that the server obtains and renews by itself, with no other software";
      acceptTerms = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether you agree to the terms of service of the authority.";
      };
      extraDomainNames = mkOption {
        type = types.listOf own.domain;
        default = [ ];
        example = [ "imap.example.com" ];
        description = "Further names in the certificate.";
      };
      contact = mkOption {
        type = types.listOf own.address;
        default = [ ];
        example = [ "postmaster@example.com" ];
        description = "Addresses at which the authority may contact you.";
      };
      challenge = mkOption {
        type = types.enum [
          "http-01"
          "tls-alpn-01"
        ];
        default = "http-01";
        example = "tls-alpn-01";
        description = "How control of the names is proven: on port 80, or in a TLS handshake on port 443. The server listens on that port.";
      };
      authority = mkOption {
        type = types.nonEmptyStr;
        default = "https://acme-v02.api.letsencrypt.org/directory";
        example = "https://ca.example.com/acme/directory";
        description = "ACME directory URL of the authority.";
      };
      authorityRoot = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/etc/ssl/house-ca.pem";
        description = "PEM file with the root certificate for the authority's own site, if it is an internal one; `null` for those of the system.";
      };
    };
    files = mkOption {
      type = types.listOf fileType;
      default = [ ];
      description = "Certificates from files that something else renews, readable by root; changes are noticed and used without a restart.";
      example = [
        {
          certFile = "/var/lib/certs/fullchain.pem";
          keyFile = "/var/lib/certs/key.pem";
        }
      ];
    };
    selfSigned = mkEnableOption "a self-signed certificate, which no other server and no client will trust: for trying things out";

    check = mkOption {
      type = types.nullOr types.nonEmptyStr;
      default = "daily";
      example = "*-*-* 04,16:00";
      description = ''
        When to check which certificate every listener serves under every name, in the syntax of systemd's `OnCalendar=`:
        `postrider-certificate-check.service` fails while a listener serves a wrong or expired certificate or none, and while
        a certificate cannot be read, obtained or used. After each change the server checks by itself. `null` for never.
      '';
    };

    sources = mkOption {
      type = types.listOf (types.attrsOf types.str);
      internal = true;
      readOnly = true;
      description = "The certificates: their names and files.";
    };
    directory = mkOption {
      type = types.path;
      internal = true;
      readOnly = true;
      default = "/run/postrider-certificates";
      description = "Where the group `postrider-tls` finds each as `<name>-cert.pem` and `<name>-key.pem`.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = sources != [ ] || certs.builtinAcme.enable;
          message = "services.postrider.certificates: no certificate; set certificates.acme.enable = true or certificates.builtinAcme.enable = true, set certificates.files, or for testing set certificates.selfSigned = true.";
        }
        {
          assertion =
            !certs.selfSigned || !(certs.acme.enable || certs.builtinAcme.enable || certs.files != [ ]);
          message = "services.postrider.certificates.selfSigned is for machines without a certificate; remove it, or the other sources.";
        }
      ];
      services.postrider = {
        certificates = { inherit sources; };
        settings.tls.certificates = map (source: {
          cert = "${certs.directory}/${source.name}-cert.pem";
          key = "${certs.directory}/${source.name}-key.pem";
        }) sources;
      };
    }
    (mkIf (certs.check != null) {
      systemd.services.postrider-certificate-check = {
        description = "Postrider: are the certificates served that are meant?";
        documentation = [ "man:postrider(1)" ];
        after = roles;
        serviceConfig = {
          Environment = credentialsDirectory;
          # The roles connect to their listeners; this only asks them.
          ExecStart = "${lib.getExe cfg.package} --config /etc/postrider/postrider.toml certificate check";
          ReadWritePaths = [ "/run/postrider" ];
          Type = "oneshot";
        }
        // harden {
          CapabilityBoundingSet = {
            value = "CAP_DAC_OVERRIDE";
            because = "each role's control socket is for its own user";
          };
          PrivateUsers = {
            value = false;
            because = "the right to use the sockets holds for their owners only where these are known";
          };
        };
      };
      systemd.timers.postrider-certificate-check = {
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = certs.check;
          Persistent = true;
          RandomizedDelaySec = "15m";
        };
      };
    })
    (mkIf (sources != [ ]) {
      systemd.services = {
        postrider-certificates = {
          description = "Postrider: certificates for the roles";
          # `wants` only: if one cannot be copied, roles still start with the old one.
          before = roles;
          wantedBy = roles;
          serviceConfig = passedOn // {
            RemainAfterExit = true;
          };
        };
        # The same for those that are renewed while the roles run.
        postrider-certificates-renewed = {
          description = "Postrider: renewed certificates for the roles";
          # Many files that change in a row would make the path unit fail, and it would stay failed.
          startLimitIntervalSec = 0;
          serviceConfig = passedOn;
        };
      };
      # Only the roles that speak TLS get this group, with their units.
      users.groups.postrider-tls = { };
    })
    (mkIf (certs.files != [ ]) {
      systemd.paths.postrider-certificates-renewed = {
        description = "Postrider: have certificates been renewed?";
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = lib.concatMap (files: [
          files.certFile
          files.keyFile
        ]) given;
      };
    })
    (mkIf certs.builtinAcme.enable {
      assertions = [
        {
          assertion = certs.builtinAcme.acceptTerms;
          message = "services.postrider.certificates.builtinAcme: the authority requires agreement to its terms of service; read them and set acceptTerms = true.";
        }
        {
          assertion = !cfg.reverseProxy.enable;
          message = "services.postrider.certificates.builtinAcme answers on a port that the reverse proxy uses; use certificates.acme with it.";
        }
      ];
      # The first attempt is made at once, the next one only after a pause: name resolution must work by then, also with a resolver on
      # this machine.
      systemd.services.postrider-mta = {
        after = [
          "network-online.target"
          "nss-lookup.target"
        ];
        wants = [ "network-online.target" ];
      };
      services.postrider = {
        listeners.${if certs.builtinAcme.challenge == "http-01" then "http" else "https"}.enable = true;
        settings.tls.acme = [
          (
            {
              inherit (certs.builtinAcme) authority challenge contact;
              names = [ cfg.hostname ] ++ certs.builtinAcme.extraDomainNames;
              terms_agreed = certs.builtinAcme.acceptTerms;
            }
            // lib.optionalAttrs (certs.builtinAcme.authorityRoot != null) {
              # With its string context: a path literal must reach the machine.
              authority_root = "${certs.builtinAcme.authorityRoot}";
            }
          )
        ];
      };
    })
    (mkIf certs.selfSigned {
      # As root and before the roles, which get it like any other certificate.
      systemd.services.postrider-self-signed = {
        description = "Postrider: a certificate for trying things out";
        before = [ "postrider-certificates.service" ];
        requiredBy = [ "postrider-certificates.service" ];
        serviceConfig = {
          RemainAfterExit = true;
          StateDirectory = "postrider-self-signed";
          StateDirectoryMode = "0700";
          Type = "oneshot";
        }
        // harden { };
        script = ''
          cd ${selfSigned}
          # Another name needs another certificate, or the roles would refuse it.
          if [ -e key.pem ] && ${pkgs.openssl}/bin/openssl x509 -in cert.pem -noout -checkhost ${cfg.hostname} | grep -q 'does match'; then
            exit 0
          fi
          # The name is in the subject alternative names; a common name cannot have more than 64 characters.
          ${pkgs.openssl}/bin/openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -subj '/CN=Postrider self-signed' -addext subjectAltName=DNS:${cfg.hostname},DNS:localhost \
            -keyout key.new -out cert.new
          mv key.new key.pem
          # The last step: the certificate shows whether the name has changed.
          mv cert.new cert.pem
        '';
      };
    })
    (mkIf certs.acme.enable {
      security.acme.certs.${cfg.hostname} = {
        # The reverse proxy has them as names of its site, and NixOS takes them from there.
        extraDomainNames = mkIf (!cfg.reverseProxy.enable) certs.acme.extraDomainNames;
        # The roles look for new files by themselves.
        postRun = "systemctl start postrider-certificates-renewed.service";
      };
      systemd.services.postrider-certificates = {
        after = [ "acme-${cfg.hostname}.service" ];
        wants = [ "acme-${cfg.hostname}.service" ];
      };
    })
  ]);
}
