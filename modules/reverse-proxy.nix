# nginx in front: the webmail, the monitoring page for administrators elsewhere, and what mail programs and other servers
# look for over HTTPS.
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
  proxy = cfg.reverseProxy;
  own = import ./lib/types.nix { inherit lib; };
  webFiles = import ./lib/web-files.nix { inherit lib; };
  domains = lib.attrNames cfg.domains;

  certificate =
    if cfg.certificates.acme.enable then
      { enableACME = true; }
    else
      let
        file =
          kind: "${cfg.certificates.directory}/${(lib.head cfg.certificates.sources).name}-${kind}.pem";
      in
      {
        sslCertificate = file "cert";
        sslCertificateKey = file "key";
      };
  host = locations: certificate // { forceSSL = true; } // { inherit locations; };
  file = name: text: { alias = "${pkgs.writeText name text}"; };
  inherit (import ./lib/proxied.nix) proxied;

  inherit (import ./lib/addresses.nix { inherit lib; }) ownOf placeOf;

  root =
    if proxy.dashboard.enable then
      {
        # Access to the page is decided here: the page itself sees every request as coming from this machine.
        "/" = proxied "http://${placeOf cfg.listeners.dashboard}" (
          lib.concatMapStrings (network: "allow ${network};\n") proxy.dashboard.allowFrom
          + lib.optionalString (proxy.dashboard.allowFrom != [ ]) "deny all;\n"
          + lib.optionalString (proxy.dashboard.basicAuthFile != null) ''
            auth_basic "Postrider";
            auth_basic_user_file /run/credentials/nginx.service/postrider-htpasswd;
          ''
        );
      }
    else if cfg.webmail.enable then
      { "= /".return = "302 /webmail/"; }
    else
      { "/".return = "404"; };

  webmail = {
    "= /webmail".return = "301 /webmail/";
    # Changes are sent as they happen, in responses that do not end.
    "/webmail/" = proxied "http://${placeOf cfg.listeners.webmail}/" ''
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
      client_max_body_size 0;
    '';
  };

  # The path stays as it is: the answers contain it, too.
  dav = lib.genAttrs [ "/dav/" "= /.well-known/caldav" "= /.well-known/carddav" ] (
    _:
    proxied "http://${placeOf cfg.listeners.webmail}" ''
      client_max_body_size 0;
    ''
  );
  # The server answers these itself: the answer contains the requested address, which a file could not.
  ownSite = proxied "https://${placeOf cfg.listeners.https}" "";
  usesOwnSite = proxy.autoconfig || cfg.setUpLinks.enable;
  pages = {
    "/set-up/" = ownSite;
  }
  // lib.optionalAttrs proxy.autoconfig { "= /apple.mobileconfig" = ownSite; };

  sameFor =
    prefix: make: lib.listToAttrs (map (d: lib.nameValuePair "${prefix}.${d}" (make d)) domains);
in
{
  options.services.postrider.reverseProxy = {
    enable = mkEnableOption "nginx in front of what this server offers to browsers and mail programs";
    dashboard = {
      enable = mkEnableOption "the monitoring page under the name of this host";
      basicAuthFile = mkOption {
        type = types.nullOr own.secretFile;
        default = null;
        example = "/run/secrets/dashboard-htpasswd";
        description = "File with names and password hashes, as `htpasswd` makes it; nobody else can see the page.";
      };
      allowFrom = mkOption {
        type = types.listOf own.network;
        default = [ ];
        example = [ "192.0.2.0/24" ];
        description = "Networks that may see the page; empty for all.";
      };
    };
    autoconfig = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether to serve the settings that mail programs look for at `autoconfig.<domain>` (Thunderbird and others) and
        `autodiscover.<domain>` (Outlook), for every domain. Apple devices find theirs at
        `https://<hostname>/apple.mobileconfig?address=<address>`.
      '';
    };
    mtaSts = import ./lib/mta-sts-option.nix { inherit lib; };
  };

  config = mkIf (cfg.enable && proxy.enable) (mkMerge [
    {
      assertions = [
        {
          assertion =
            !proxy.dashboard.enable
            || proxy.dashboard.basicAuthFile != null
            || proxy.dashboard.allowFrom != [ ];
          message = "services.postrider.reverseProxy.dashboard: the monitoring page would be readable by everybody; set basicAuthFile or allowFrom.";
        }
        {
          assertion = !proxy.dashboard.enable || cfg.dashboard.enable;
          message = "services.postrider.reverseProxy.dashboard: there is no page to show; set services.postrider.dashboard.enable = true.";
        }
        {
          assertion = proxy.mtaSts == null || !cfg.certificates.selfSigned;
          message = "services.postrider.reverseProxy.mtaSts promises a certificate that others trust; use certificates.acme or certificates.files instead of certificates.selfSigned.";
        }
      ];

      services.postrider.settings.dashboard.proxy_decides = mkIf proxy.dashboard.enable true;

      services.nginx = {
        enable = true;
        recommendedTlsSettings = lib.mkDefault true;
        virtualHosts = mkMerge [
          {
            ${cfg.hostname} =
              host (
                root
                // lib.optionalAttrs cfg.webmail.enable webmail
                // lib.optionalAttrs cfg.dav.enable dav
                // lib.optionalAttrs usesOwnSite pages
              )
              # The authority asks by each name of the certificate, and another site of this machine must not answer.
              // lib.optionalAttrs cfg.certificates.acme.enable {
                serverAliases = cfg.certificates.acme.extraDomainNames;
              };
          }
          (mkIf proxy.autoconfig (
            sameFor "autoconfig" (
              domain:
              host { "= /mail/config-v1.1.xml" = file "config-v1.1.xml" (webFiles.autoconfig cfg domain); }
            )
          ))
          # Outlook writes the path in several ways.
          (mkIf proxy.autoconfig (
            sameFor "autodiscover" (_: host { "~* ^/autodiscover/autodiscover\\.xml$" = ownSite; })
          ))
          (mkIf (proxy.mtaSts != null) (
            sameFor "mta-sts" (
              _:
              host {
                "= /.well-known/mta-sts.txt" = file "mta-sts.txt" (webFiles.mtaSts cfg.hostname proxy.mtaSts);
              }
            )
          ))
        ];
      };
    }
    {
      # Tells `postrider dns` and `postrider doctor` what nginx answers.
      services.postrider.settings = {
        # The site behind nginx answers for it; if nginx does not pass it on, nobody does.
        autoconfig.enabled = lib.mkDefault proxy.autoconfig;
        mta_sts = mkIf (proxy.mtaSts != null) {
          policies = map (domain: {
            inherit domain;
            mode = proxy.mtaSts;
          }) domains;
        };
      };
    }
    {
      services.postrider.listeners.https = {
        addresses = lib.mkDefault [ (ownOf config) ];
        port = lib.mkDefault 8443;
      };
    }
    (mkIf usesOwnSite {
      services.postrider = {
        listeners.https.enable = true;
        settings.set_up.address = "https://${cfg.hostname}";
      };
    })
    (mkIf cfg.openFirewall {
      networking.firewall.allowedTCPPorts = [
        80
        443
      ];
    })
    (mkIf (proxy.dashboard.basicAuthFile != null) {
      systemd.services.nginx.serviceConfig.LoadCredential = [
        "postrider-htpasswd:${proxy.dashboard.basicAuthFile}"
      ];
    })
    (mkIf (!cfg.certificates.acme.enable) {
      systemd.services = {
        nginx = {
          after = [ "postrider-certificates.service" ];
          wants = [ "postrider-certificates.service" ];
          serviceConfig.SupplementaryGroups = [ "postrider-tls" ];
        };
        # Unlike the roles, it does not look for new ones by itself.
        postrider-certificates-renewed.serviceConfig.ExecStartPost = "+${config.systemd.package}/bin/systemctl --no-block try-reload-or-restart nginx.service";
      };
    })
  ]);
}
