# Domains, users and aliases: their options, what is rejected, and the file the server reads them from.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    concatLists
    concatStringsSep
    filterAttrs
    literalExpression
    mapAttrs
    mapAttrsToList
    mkIf
    mkOption
    optional
    optionals
    types
    ;
  cfg = config.services.postrider;
  own = import ./lib/types.nix { inherit lib; };

  userType = types.submodule {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        example = false;
        description = "Whether the user may log in. A disabled user keeps receiving mail.";
      };
      hashedPasswordFile = mkOption {
        type = types.nullOr own.secretFile;
        default = null;
        example = "/run/secrets/john";
        description = ''
          File with the hash of the first password (`{BLF-CRYPT}$2y$…`, made with `postrider user hash`). It is set
          once, and again only when the file's content changes; a password the user has chosen since is kept. A changed
          file is read at the next restart of the role `access`: have sops-nix do that with
          `sops.secrets.john.restartUnits = [ "postrider-access.service" ]`; with agenix, restart it by hand. Without
          a file, the user has no password until an administrator sets one, or the user chooses one through a link (see
          `setUpLinks`).
        '';
      };
      quota = mkOption {
        type = types.nullOr own.size;
        default = "1G";
        example = "5G";
        description = "How much mail the user may keep; `null` for no limit.";
      };
      aliases = mkOption {
        type = types.listOf own.localPart;
        default = [ ];
        example = [
          "info"
          "john.doe"
        ];
        description = "Further local parts of the same domain whose mail goes to this user, and as which the user may send.";
      };
    };
  };

  domainType = types.submodule {
    options = {
      users = mkOption {
        type = types.attrsWith {
          elemType = userType;
          placeholder = "local part";
        };
        default = { };
        example = literalExpression ''{ john = { quota = "5G"; aliases = [ "info" ]; }; jane = { }; }'';
        description = "Mailboxes of the domain by local part.";
      };
      aliases = mkOption {
        type = types.attrsWith {
          elemType = types.nonEmptyListOf own.address;
          placeholder = "local part";
        };
        default = { };
        example = {
          sales = [
            "john@example.com"
            "jane@example.com"
          ];
        };
        description = "Addresses of the domain that lead to other addresses, here or elsewhere.";
      };
      catchAll = mkOption {
        type = types.nullOr own.address;
        default = null;
        example = "john@example.com";
        description = "Who gets mail for non-existent addresses of the domain; `null` refuses such mail.";
      };
      requireTwoFactor = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether users of this domain must use two-factor login even if others need not (see `twoFactor`).";
      };
    };
  };

  # Everything below works on complete addresses, in lower case as the server compares them.
  addressesOf =
    select:
    concatLists (
      mapAttrsToList (domain: d: map (local: "${lib.toLower local}@${domain}") (select d)) cfg.domains
    );
  users = addressesOf (d: lib.attrNames d.users);
  ownAliases = addressesOf (d: concatLists (mapAttrsToList (_: user: user.aliases) d.users));
  listAliases = addressesOf (d: lib.attrNames d.aliases);
  isOurs = address: cfg.domains ? ${domainOf address};
  domainOf = address: lib.last (lib.splitString "@" address);
  withoutTag =
    address:
    let
      parts = lib.splitString "@" address;
    in
    lib.toLower "${lib.head (lib.splitString "+" (lib.head parts))}@${lib.last parts}";

  known = lib.genAttrs (users ++ ownAliases ++ listAliases) (_: true);
  catches = address: cfg.domains.${domainOf address}.catchAll != null;
  exists = address: known ? ${withoutTag address} || catches address;

  duplicates =
    names: lib.attrNames (filterAttrs (_: same: lib.length same > 1) (lib.groupBy lib.id names));

  targets = lib.listToAttrs (
    concatLists (
      mapAttrsToList (
        domain: d:
        mapAttrsToList (local: destinations: lib.nameValuePair "${local}@${domain}" destinations) d.aliases
      ) cfg.domains
    )
  );
  dangling = concatLists (
    mapAttrsToList (
      alias: destinations:
      map (to: "${alias} -> ${to}") (lib.filter (to: isOurs to && !exists to) destinations)
    ) targets
  );
  # An alias that lists itself keeps a copy (its address is also a mailbox); that is no loop.
  reaches =
    seen: address:
    concatLists (
      map (
        to:
        if to == address then
          [ ]
        # A tag leads to the same alias again.
        else if lib.elem (withoutTag to) seen then
          [ (concatStringsSep " -> " (seen ++ [ to ])) ]
        else
          reaches (seen ++ [ (withoutTag to) ]) (withoutTag to)
      ) (targets.${address} or [ ])
    );
  loops = lib.unique (concatLists (map (alias: reaches [ alias ] alias) (lib.attrNames targets)));

  badNames = concatLists (
    mapAttrsToList (
      domain: d:
      optional (builtins.match own.domainPattern domain == null) "domain `${domain}`"
      ++ map (local: "`${local}` in ${domain}") (
        lib.filter (local: builtins.match own.localPattern local == null || local != lib.toLower local) (
          lib.attrNames d.users ++ lib.attrNames d.aliases
        )
      )
    ) cfg.domains
  );
  danglingCatchAll = concatLists (
    mapAttrsToList (
      domain: d:
      optional (
        d.catchAll != null && isOurs d.catchAll && !(known ? ${withoutTag d.catchAll})
      ) "${domain} -> ${d.catchAll}"
    ) cfg.domains
  );

  list = concatStringsSep ", ";
  # A credential's name is a file name: characters that would be invalid or ambiguous are replaced.
  credentialOf =
    address:
    if builtins.match "[a-z0-9.-]{1,64}@.{1,120}" address != null then
      "password-${lib.replaceStrings [ "@" ] [ "_at_" ] address}"
    else
      "password-${builtins.hashString "sha256" address}";
  withPassword = concatLists (
    mapAttrsToList (
      domain: d:
      concatLists (
        mapAttrsToList (
          local: user:
          optional (user.hashedPasswordFile != null) {
            credential = credentialOf "${local}@${domain}";
            file = user.hashedPasswordFile;
          }
        ) d.users
      )
    ) cfg.domains
  );

  declared.domains = mapAttrs (
    domain: d:
    {
      users = mapAttrs (
        local: user:
        {
          enabled = user.enable;
          inherit (user) aliases;
        }
        // lib.optionalAttrs (user.quota != null) { inherit (user) quota; }
        // lib.optionalAttrs (user.hashedPasswordFile != null) {
          hashed_password_file = "credential:${credentialOf "${local}@${domain}"}";
        }
      ) d.users;
      aliases = d.aliases;
    }
    // lib.optionalAttrs (d.catchAll != null) { catch_all = d.catchAll; }
  ) cfg.domains;
in
{
  options.services.postrider = {
    domains = mkOption {
      type = types.attrsWith {
        elemType = domainType;
        placeholder = "domain";
      };
      default = { };
      example = literalExpression ''
        {
          "example.com" = {
            users.john = { hashedPasswordFile = "/run/secrets/john"; quota = "5G"; };
            aliases.sales = [ "john@example.com" ];
          };
        }
      '';
      description = ''
        The mail domains of this server. An account that is removed here is disabled and archived at the next
        switch, never deleted; `postrider plan` shows what a switch will change.
      '';
    };

    passwordCredentials = mkOption {
      type = types.listOf (types.attrsOf types.str);
      internal = true;
      readOnly = true;
      description = "Password files and the names of the credentials that carry them.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.domains != { };
        message = ''services.postrider.domains is empty: write at least services.postrider.domains."example.com".users.john = { };'';
      }
      {
        assertion = badNames == [ ];
        message = "services.postrider.domains: ${list badNames}: names must be in lower case, without @ and without a +tag; write international domains as xn--….";
      }
      {
        assertion = duplicates (users ++ ownAliases) == [ ];
        message = "services.postrider.domains: ${
          list (duplicates (users ++ ownAliases))
        } is both a user and the alias of one, or the alias of two users; to reach several people write aliases.<name> = [ … ] of the domain.";
      }
      {
        assertion = lib.intersectLists ownAliases listAliases == [ ];
        message = "services.postrider.domains: ${list (lib.intersectLists ownAliases listAliases)} is the alias of a user and of the domain; keep the one under domains.<domain>.aliases and add the user to its list.";
      }
      {
        assertion = dangling == [ ];
        message = "services.postrider.domains: ${list dangling}: the destination is in one of our domains and does not exist; declare the user or correct the address.";
      }
      {
        assertion = loops == [ ];
        message = "services.postrider.domains: ${list loops}: these aliases lead back to themselves; remove one of them.";
      }
      {
        assertion = danglingCatchAll == [ ];
        message = "services.postrider.domains: catchAll ${list danglingCatchAll}: nobody has that address; name a user of this server or an address elsewhere.";
      }
    ];

    services.postrider = {
      passwordCredentials = withPassword;
      settings.accounts.declared = (pkgs.formats.json { }).generate "postrider-accounts.json" declared;
    };

    warnings = optionals (duplicates (map (p: p.file) withPassword) != [ ]) [
      "services.postrider.domains: several users share the password file ${
        list (duplicates (map (p: p.file) withPassword))
      }."
    ];
  };
}
