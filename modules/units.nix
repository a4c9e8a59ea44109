# One systemd unit per role, each with its own user, its own sockets and the tightest possible sandbox.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    getExe
    mapAttrs'
    mkIf
    mkMerge
    mkOption
    nameValuePair
    optional
    optionals
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };
  protocols = import ./lib/ports.nix;
  inherit (import ./lib/hardening.nix { inherit lib; }) harden inHomes outbound;
  inherit (import ./lib/pages.nix config) roleOf;

  enabledOf = role: lib.filterAttrs (name: l: l.enable && roleOf name == role) cfg.listeners;
  socketUnitsOf =
    role:
    map (name: "postrider-${name}.socket") (
      lib.attrNames (enabledOf role)
      ++ optional (role == "access" && cfg.cluster.enable) "cluster"
      ++ lib.attrNames (lib.filterAttrs (_: socket: socket.role == role) betweenRoles)
    );

  # The first two allow putting mail into any mailbox, or sending for every account: only the other role may open them.
  betweenRoles = {
    lmtp = {
      role = "access";
      description = "delivery into mailboxes";
      path = "/run/postrider/lmtp.sock";
      mode = "0600";
    };
    post = {
      role = "mta";
      description = "what scripts send, and lists that users leave";
      path = "/run/postrider/mta-post.sock";
      mode = "0660";
    };
  }
  // lib.optionalAttrs cfg.localMail.enable {
    # This one is for everybody: the kernel says who opens it.
    sendmail = {
      role = "mta";
      description = "what programs of this machine send";
      path = "/run/postrider-sendmail.sock";
      mode = "0666";
    };
  }
  // lib.optionalAttrs cfg.webmail.enable {
    webmail-submission = {
      role = "mta";
      description = "what is written in the webmail";
      path = "/run/postrider/submission.sock";
      mode = "0660";
    };
  };

  inherit (import ./lib/addresses.nix { inherit lib; }) bracket;
  inherit (import ./lib/credentials.nix) credentialsDirectory standIns;
  databaseUnits = optionals (cfg.database.type != "sqlite" && cfg.database.createLocally) [
    "postrider-database-users.service"
    (if cfg.database.type == "mysql" then "mysql.service" else "postgresql.service")
  ];

  roles = import ./lib/roles.nix cfg;
  spool = import ./lib/spool.nix cfg;
  databaseOf = import ./lib/database-access.nix { inherit lib; } cfg;

  certificateGroup = optional (cfg.certificates.sources != [ ]) "postrider-tls";
  secretsOf =
    role:
    lib.mapAttrsToList (name: secret: "${name}:${secret.file}") (
      lib.filterAttrs (_: secret: lib.elem role secret.roles) cfg.secrets
    );

  sharedFiles = {
    UMask = {
      value = "0007";
      because = "the roles share the SQLite database and the sockets through their group";
    };
  };

  # Limits within a role must be below the kernel's limit; the defaults are below ours.
  octets =
    size:
    let
      parts = builtins.match "([0-9]+)([KMGT])" size;
      powers = {
        K = 1;
        M = 2;
        G = 3;
        T = 4;
      };
    in
    lib.foldl' (n: _: n * 1024) (lib.toInt (lib.head parts)) (lib.range 1 powers.${lib.last parts});
  share =
    roles: divisor: default:
    toString (
      lib.foldl' lib.min (octets default) (
        map (role: lib.max 1 ((octets cfg.memoryMax.${role} - octets ownMemory) / divisor)) roles
      )
    );

  # What a busy role needs for itself: its program, caches and connections. The rest is for messages.
  ownMemory = "128M";
  leastMemory = {
    access = "256M";
    dashboard = "64M";
    mta = "256M";
  };
  tooSmall = lib.filterAttrs (role: least: octets cfg.memoryMax.${role} < octets least) leastMemory;

  # Several modules may need the same, each for its own reason.
  relaxation = types.submodule {
    options = {
      value = mkOption {
        type = types.anything;
        internal = true;
        description = "What the key is to be.";
      };
      because = mkOption {
        type = types.separatedString "; ";
        internal = true;
        description = "Why.";
      };
    };
  };

  # What a running role cannot replace: `needs_restart` in `src/daemon/build.rs`. A new place of a listener comes with its socket,
  # and new files of certificates must be there before they are read.
  fixed =
    lib.getAttrs (lib.intersectLists (lib.attrNames cfg.settings) [
      "cluster"
      "database"
      "dns"
      "hostname"
      "spool"
      "storage"
    ]) cfg.settings
    // {
      sizes = map (key: lib.attrByPath (lib.splitString "." key) null cfg.settings) [
        "dashboard.fresh_for"
        "dashboard.probe_timeout"
        "dashboard.sessions"
        "dashboard.waiting"
        "dav.enabled"
        "dav.logins"
        "dav.public_port"
        "dav.queries_at_once"
        "directory.cache_entries"
        "http.answers"
        "http.answers_per_user"
        "http.bodies"
        "http.bodies_per_user"
        "imap.append_memory"
        "imap.append_memory_per_user"
        "journal.waiting"
        "login.remembered"
        "login.workers"
        "mailbox.parallel_jobs"
        "outbound.authorities"
        "queue.memory"
        "smtp.memory"
        "smtp.memory_per_network"
        "spam.classifier.account_tokens"
        "spam.classifier.accounts_in_memory"
        "spam.classifier.refresh"
        "spam.classifier.tokens"
        "webmail.opened_at_once"
        "webmail.searches_at_once"
        "webmail.sessions"
        "webmail.submission"
      ];
      certificates = cfg.certificates.sources;
      listener = map (listener: removeAttrs listener [ "bind" ]) cfg.settings.listener;
      server = removeAttrs (cfg.settings.server or { }) [ "log_level" ];
    };

  mkRole =
    role:
    {
      description,
      user,
      group,
      writes,
      credentials ? [ ],
      instead ? [ ],
      groups ? [ ],
      relax,
    }:
    let
      database = databaseOf user;
    in
    nameValuePair "postrider-${role}" {
      inherit description;
      documentation = [ "man:postrider(1)" ];
      wantedBy = [ "multi-user.target" ];
      # `wants` only: if another program has a port, the role serves the others, and it waits for a database that is down.
      wants = socketUnitsOf role ++ databaseUnits;
      after = [ "network.target" ] ++ socketUnitsOf role ++ databaseUnits;
      # A socket cannot be replaced while the role has it.
      partOf = socketUnitsOf role;
      # A later mount would hide what was written before.
      unitConfig.RequiresMountsFor = lib.intersectLists writes [
        cfg.mailRoot
        spool
      ];
      # The file's content is part of the path: a changed configuration reloads, it does not restart.
      reloadTriggers = [ cfg.configFile ];
      restartTriggers = [
        cfg.package
        (builtins.hashString "sha256" (builtins.toJSON fixed))
      ];
      # A database or a disk that comes back after an hour finds the server trying.
      startLimitIntervalSec = 0;
      # A switch that stops and starts a unit closes its sockets in between; one that restarts it does not.
      stopIfChanged = false;
      serviceConfig = {
        Environment = credentialsDirectory;
        ExecReload = [ "${pkgs.coreutils}/bin/kill -HUP $MAINPID" ];
        ExecStart = "${getExe cfg.package} --config /etc/postrider/postrider.toml serve --role ${role}";
        Group = group;
        LimitNOFILE = 65536;
        LoadCredential = database.credentials.LoadCredential ++ credentials ++ secretsOf role;
        MemoryMax = cfg.memoryMax.${role};
        NotifyAccess = "main";
        ReadWritePaths = writes;
        Restart = "on-failure";
        RestartSec = 2;
        # Sockets stay with systemd while the program is replaced: clients wait, none is refused.
        Sockets = socketUnitsOf role;
        SetCredential = database.credentials.SetCredential ++ instead;
        SupplementaryGroups = [ "postrider" ] ++ groups;
        # Sessions and then deliveries in flight may take `server.stop_within` each, and all that is written after them 40 seconds.
        TimeoutStopSec = 100;
        Type = "notify";
        User = user;
        WatchdogSec = 30;
      }
      // harden (sharedFiles // database.relax // relax // cfg.relaxed.${role} or { });
    };

  # A switch does not restart a changed socket: it would keep listening at its old address (NixOS/nixpkgs#74899).
  declaredSockets = pkgs.writeText "postrider-sockets" (
    lib.concatLines (
      lib.mapAttrsToList (
        name: socket:
        "${name}.socket ${
          builtins.hashString "sha256" (
            builtins.toJSON {
              inherit (socket) listenStreams socketConfig;
            }
          )
        }"
      ) (lib.filterAttrs (name: _: lib.hasPrefix "postrider-" name) config.systemd.sockets)
    )
  );
  restartChanged = pkgs.writeShellApplication {
    name = "postrider-sockets";
    runtimeInputs = [
      config.systemd.package
      pkgs.coreutils
    ];
    text = ''
      # postrider-sockets FILE    FILE has a line for each socket: its name, and what it is like
      cd "$RUNTIME_DIRECTORY"
      changed=()
      while read -r socket like; do
        [ -e "$socket" ] || continue
        # One that could not be opened is tried again.
        if [ "$(cat "$socket")" != "$like" ] || ! systemctl --quiet is-active "$socket"; then changed+=("$socket"); fi
      done < "$1"
      # The roles that have them are restarted with them, or they would keep the old sockets.
      [ "''${#changed[@]}" = 0 ] || systemctl restart "''${changed[@]}"
      while read -r socket like; do echo "$like" > "$socket"; done < "$1"
    '';
  };

  mkSocket =
    name: listener:
    nameValuePair "postrider-${name}" {
      description = "Postrider: ${protocols.${name}.description}";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        Backlog = 1024;
        BindIPv6Only = "both";
        FileDescriptorName = name;
        # The address may come later than the socket, as with DHCP.
        FreeBind = true;
        ListenStream = map (a: "${bracket a}:${toString listener.port}") listener.addresses;
        Service = "postrider-${roleOf name}.service";
      };
    };
  mkSocketBetweenRoles =
    name: socket:
    nameValuePair "postrider-${name}" {
      description = "Postrider: ${socket.description}";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        FileDescriptorName = name;
        ListenStream = socket.path;
        Service = "postrider-${socket.role}.service";
        SocketMode = socket.mode;
        SocketUser = "postrider-mta";
      }
      // lib.optionalAttrs (socket.role == "mta") { SocketGroup = "vmail"; };
    };
in
{
  options.services.postrider.memoryMax =
    lib.mapAttrs
      (
        role: default:
        mkOption {
          type = own.wholeSize;
          inherit default;
          example = "8G";
          description = ''
            How much memory the role `${role}` may use before the kernel kills it (`MemoryMax` of its unit), at least
            `${leastMemory.${role}}`. The memory budget for messages in flight is kept below this, unless `settings` says
            otherwise.
          '';
        }
      )
      {
        access = "2G";
        dashboard = "256M";
        mta = "1G";
      };

  # For the other modules, which know what a role needs for them.
  options.services.postrider.relaxed = mkOption {
    type = types.attrsOf (types.attrsOf relaxation);
    default = { };
    internal = true;
    description = "What is relaxed of the sandbox of a role, each with its reason, see `lib/hardening.nix`.";
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = tooSmall == { };
        message = "services.postrider.memoryMax: too little for a role, which the kernel would kill; give it more: ${
          lib.concatStringsSep ", " (
            lib.mapAttrsToList (role: least: "${role} has ${cfg.memoryMax.${role}} and needs ${least}") tooSmall
          )
        }.";
      }
    ];

    services.postrider.settings = {
      imap.append_memory = lib.mkDefault (share [ "access" ] 4 "256M");
      mailbox.idle_memory = lib.mkDefault (share [ "access" ] 16 "64M");
      queue.memory = lib.mkDefault (share [ "mta" ] 4 "256M");
      smtp.memory = lib.mkDefault (
        share [
          "access"
          "mta"
        ] 2 "512M"
      );
      # One attachment at least.
      webmail.uploads = lib.mkDefault (
        toString (lib.max (octets cfg.webmail.attachment) (lib.toInt (share [ "access" ] 8 "256M")))
      );
    };

    systemd.services = mkMerge [
      {
        postrider-sockets = {
          description = "Postrider: sockets as they are declared";
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            ExecStart = "${getExe restartChanged} ${declaredSockets}";
            RemainAfterExit = true;
            RuntimeDirectory = "postrider-sockets";
            RuntimeDirectoryPreserve = true;
            Type = "oneshot";
          }
          // harden { };
        };
      }
      (lib.listToAttrs [
        (mkRole "mta" {
          description = "Postrider: mail transfer";
          user = "postrider-mta";
          group = "postrider";
          writes = [
            "/var/lib/postrider"
            spool
            "/run/postrider"
          ];
          groups = certificateGroup;
          relax = outbound "it delivers to other servers and asks DNS" // inHomes [ spool ];
        })
        (mkRole "access" {
          description = "Postrider: mailboxes";
          user = "vmail";
          group = "vmail";
          writes = [
            cfg.mailRoot
            "/var/lib/postrider"
            "/run/postrider"
          ];
          credentials = map (p: "${p.credential}:${p.file}") cfg.passwordCredentials;
          instead = standIns cfg.passwordCredentials;
          groups = certificateGroup;
          relax = inHomes [ cfg.mailRoot ];
        })
      ])
      (mkIf cfg.dashboard.enable (
        lib.listToAttrs [
          (mkRole "dashboard" {
            description = "Postrider: monitoring page";
            user = "postrider-dashboard";
            group = "postrider";
            # SQLite needs its shared-memory file beside the database even for reading.
            writes = [
              "/var/lib/postrider"
              "/run/postrider"
            ];
            credentials = optional (
              cfg.dashboard.passwordFile != null
            ) "dashboard-password:${toString cfg.dashboard.passwordFile}";
            relax = outbound "it probes every listener as a client would";
          })
        ]
      ))
    ];

    systemd.sockets = mkMerge [
      # Clients that connect while a role cannot start must not close its sockets for good.
      (lib.genAttrs (map (lib.removeSuffix ".socket") (lib.concatMap socketUnitsOf roles)) (_: {
        socketConfig.TriggerLimitIntervalSec = 0;
      }))
      (mapAttrs' mkSocket (lib.filterAttrs (_: l: l.enable) cfg.listeners))
      (mapAttrs' mkSocketBetweenRoles betweenRoles)
    ];
  };
}
