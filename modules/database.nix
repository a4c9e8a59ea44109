# Where accounts and the queue are kept.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkIf
    mkMerge
    mkOption
    types
    ;
  cfg = config.services.postrider;
  db = cfg.database;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/hardening.nix { inherit lib; }) harden;
  writers = [
    "postrider-mta"
    "vmail"
  ];
  reader = "postrider-dashboard";

  sqlite = "sqlite:/var/lib/postrider/postrider.sqlite";
  # Over the socket, authenticated by the process's user: there is no password to keep.
  urlFor =
    user:
    if db.type == "mysql" then
      "mysql://${user}@localhost/${db.name}?socket=/run/mysqld/mysqld.sock"
    else
      "postgres://${user}@localhost/${db.name}?host=/run/postgresql";

  # One database user per role, authenticated by the process's user. The mail roles may write, the monitoring
  # page may only read. Both scripts may run again at every start.
  mysqlUsers = pkgs.writeText "postrider-users.sql" (
    ''
      CREATE DATABASE IF NOT EXISTS `${db.name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
    ''
    + lib.concatMapStrings (user: ''
      CREATE USER IF NOT EXISTS '${user}'@'localhost' IDENTIFIED VIA unix_socket;
      GRANT ${
        if user == reader then "SELECT" else "ALL PRIVILEGES"
      } ON `${db.name}`.* TO '${user}'@'localhost';
    '') (writers ++ [ reader ])
  );
  # The first role makes the tables, and only their owner may change them later: the mail roles act as one owner.
  postgresqlUsers = pkgs.writeText "postrider-users.sql" (
    lib.concatMapStrings
      (user: ''
        SELECT 'CREATE ROLE "${user}"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${user}') \gexec
      '')
      (
        [
          owner
          "root"
        ]
        ++ writers
        ++ [ reader ]
      )
    + ''
      SELECT 'CREATE DATABASE "${db.name}" OWNER "${owner}" TEMPLATE template0 ENCODING UTF8'
        WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '${db.name}') \gexec
      \connect "${db.name}"
      ALTER SCHEMA public OWNER TO "${owner}";
    ''
    + lib.concatMapStrings (user: ''
      ALTER ROLE "${user}" LOGIN;
      GRANT "${owner}" TO "${user}";
      ALTER ROLE "${user}" IN DATABASE "${db.name}" SET role TO "${owner}";
    '') ([ "root" ] ++ writers)
    + ''
      ALTER ROLE "${reader}" LOGIN;
      GRANT USAGE ON SCHEMA public TO "${reader}";
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO "${reader}";
      ALTER DEFAULT PRIVILEGES FOR ROLE "${owner}" IN SCHEMA public GRANT SELECT ON TABLES TO "${reader}";
    ''
  );
  owner = "postrider-owner";

  # By the administrator, among the settings.
  written = cfg.settings.storage.database or "";

  # Done by our own unit and not by `ensureUsers`, whose place in the order of units differs between releases.
  usersUnit = engine: serviceConfig: {
    description = "Postrider: database and its users";
    after = [ engine ];
    # `wants` only, both ways: the roles keep running if the engine is stopped, and wait for it.
    wants = [ engine ];
    before = roles;
    wantedBy = roles;
    startLimitIntervalSec = 0;
    serviceConfig = {
      RemainAfterExit = true;
      Restart = "on-failure";
      RestartSec = 5;
      Type = "oneshot";
    }
    // harden {
      PrivateUsers = {
        value = false;
        because = "the database recognises its administrator by the user id over the socket";
      };
      RemoveIPC = {
        value = false;
        because = "PostgreSQL runs as the same user, and would lose its shared memory when this unit ends";
      };
    }
    // serviceConfig;
  };
  roles = map (role: "postrider-${role}.service") (import ./lib/roles.nix cfg);
in
{
  options.services.postrider.database = {
    type = mkOption {
      type = types.enum [
        "sqlite"
        "mysql"
        "postgresql"
      ];
      default = "sqlite";
      example = "mysql";
      description = "Engine for accounts, queue and events. `mysql` takes over the tables of a Postfix and Dovecot stack.";
    };
    createLocally = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether to set up the engine on this machine, with one database user per role, authenticated by the socket:
        the mail roles may write, the monitoring page may only read. Does not apply to SQLite.
      '';
    };
    name = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "mailserver";
      example = "postrider";
      description = "Name of the database.";
    };
    urlFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/postrider-database-url";
      description = "File with the URL of a remote database, including the password, such as `postgres://mail:secret@db.example.com/mail`.";
    };
    localUrls = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      readOnly = true;
      description = "How each user of this machine that may reaches the engine set up here; empty for SQLite and for one elsewhere.";
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = db.type == "sqlite" || db.createLocally || db.urlFile != null;
          message = "services.postrider.database: with createLocally = false the server needs the address of its database; set database.urlFile.";
        }
        {
          assertion = db.urlFile == null || (db.type != "sqlite" && !db.createLocally);
          message = "services.postrider.database.urlFile is for a database elsewhere: set database.type to \"mysql\" or \"postgresql\" and createLocally = false.";
        }
        {
          # Everybody on the machine reads the store, where the settings are.
          assertion = builtins.match "[a-z]+://[^/@]*:[^/@]+@.*" written == null;
          message = "services.postrider.settings.storage.database contains a password, which everybody on the machine could read; put the URL into a file outside the store and set database.urlFile.";
        }
        {
          assertion =
            db.type != "mysql"
            || !db.createLocally
            || lib.getName config.services.mysql.package == lib.getName pkgs.mariadb;
          message = "services.postrider.database sets up only MariaDB: make services.mysql.package one of pkgs.mariadb…, or set createLocally = false and urlFile.";
        }
      ];
    }
    {
      services.postrider.database.localUrls =
        lib.optionalAttrs (db.type != "sqlite" && db.urlFile == null)
          (
            lib.genAttrs (
              writers
              ++ [
                reader
                "root"
              ]
            ) urlFor
          );
    }
    (mkIf (db.type == "sqlite") {
      services.postrider.settings.storage.database = sqlite;
      # Made before any role starts, or the first one would own it. SQLite gives its other files the same mode.
      systemd.tmpfiles.settings."10-postrider"."/var/lib/postrider/postrider.sqlite".f = {
        mode = "0660";
        user = "root";
        group = "postrider";
      };
    })
    (mkIf (db.type != "sqlite") {
      # Every role has its own address: it comes with the unit, see units.nix.
      services.postrider.settings.storage.database_file = "credential:database-url";
    })
    (mkIf (db.type == "mysql" && db.createLocally) {
      services.mysql = {
        enable = true;
        package = lib.mkDefault pkgs.mariadb;
        settings.mysqld.bind-address = lib.mkDefault "127.0.0.1";
      };
      systemd.services.postrider-database-users = usersUnit "mysql.service" {
        ExecStart = "${config.services.mysql.package}/bin/mariadb --batch -e \"source ${mysqlUsers}\"";
      };
    })
    (mkIf (db.type == "postgresql" && db.createLocally) {
      services.postgresql.enable = true;
      systemd.services.postrider-database-users = usersUnit "postgresql.service" {
        ExecStart = "${config.services.postgresql.package}/bin/psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -d postgres -f ${postgresqlUsers}";
        User = "postgres";
      };
    })
  ]);
}
