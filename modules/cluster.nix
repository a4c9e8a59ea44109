# This machine as one of several nodes over the same mailboxes: see docs/cluster.md.
{ config, lib, ... }:
let
  inherit (lib)
    concatMapStrings
    hasInfix
    literalExpression
    mkEnableOption
    mkIf
    mkOption
    types
    ;
  cfg = config.services.postrider;
  cluster = cfg.cluster;
  own = import ./lib/types.nix { inherit lib; };
  inherit (import ./lib/hardening.nix { inherit lib; }) outbound;

  # The user with this number owns the queue's files on every node.
  number = 5001;
  port = toString cluster.port;
  place = "${bracket (everyOf config)}:${port}";
  inherit (import ./lib/addresses.nix { inherit lib; }) bracket everyOf;
  # An older NixOS has no `backend`.
  usesNftables =
    config.networking.firewall.backend
      or (if config.networking.nftables.enable then "nftables" else "iptables") == "nftables";
  nftablesRule =
    peer: "${if hasInfix ":" peer then "ip6" else "ip"} saddr ${peer} tcp dport ${port} accept\n";
  iptablesRule =
    peer:
    "${
      if hasInfix ":" peer then "ip6tables" else "iptables"
    } -A nixos-fw -p tcp -s ${peer} --dport ${port} -j nixos-fw-accept\n";
in
{
  options.services.postrider.cluster = {
    enable = mkEnableOption "serving the mailboxes together with other machines";
    node = mkOption {
      type = types.strMatching "[A-Za-z0-9.-]{1,64}";
      default = config.networking.hostName;
      defaultText = literalExpression "config.networking.hostName";
      example = "mail1";
      description = "The name of this node, different on every machine.";
    };
    address = mkOption {
      type = types.nonEmptyStr;
      default = config.networking.fqdnOrHostName;
      defaultText = literalExpression "config.networking.fqdnOrHostName";
      example = "10.0.0.11";
      description = "Where the other nodes reach this one: a name or an address.";
    };
    port = mkOption {
      type = types.port;
      default = 2425;
      example = 12425;
      description = "TCP port on which nodes talk to each other.";
    };
    secretFile = mkOption {
      type = types.nullOr own.secretFile;
      default = null;
      example = "/run/secrets/postrider-cluster";
      description = ''
        File with the secret that all nodes share, at least 32 octets: `openssl rand -base64 48`. Anyone who has it can act
        for every user.
      '';
    };
    peers = mkOption {
      type = types.listOf own.network;
      default = [ ];
      example = [
        "10.0.0.11"
        "10.0.0.12"
      ];
      description = "Addresses or networks of the nodes. The firewall opens the port between nodes to these only.";
    };
    balancers = mkOption {
      type = types.listOf own.network;
      default = [ ];
      example = [ "10.0.0.5/32" ];
      description = ''
        Networks of load balancers in front of the nodes. They must begin every connection to a client port with a PROXY
        header that names the real client.
      '';
    };
  };

  config = mkIf (cfg.enable && cluster.enable) {
    assertions = [
      {
        assertion = cfg.database.type != "sqlite" && cfg.database.urlFile != null;
        message = "services.postrider.cluster needs a database that all nodes reach: set database.type to \"mysql\" or \"postgresql\" and database.urlFile.";
      }
      {
        assertion = cluster.secretFile != null;
        message = "services.postrider.cluster.secretFile must name a file with the secret that all nodes share.";
      }
      {
        assertion = cluster.peers != [ ];
        message = "services.postrider.cluster.peers must name the addresses of the nodes; nobody else may reach the port between them.";
      }
    ];

    networking.firewall = {
      extraInputRules = mkIf usesNftables (concatMapStrings nftablesRule cluster.peers);
      extraCommands = mkIf (!usesNftables) (concatMapStrings iptablesRule cluster.peers);
    };

    services.postrider = {
      relaxed.access = outbound "other nodes own mailboxes too, and the database is on another machine";
      secrets = mkIf (cluster.secretFile != null) {
        cluster-secret = {
          file = cluster.secretFile;
          roles = [ "access" ];
        };
      };
      settings = {
        cluster = {
          inherit (cluster) node;
          address = "${
            if hasInfix ":" cluster.address then "[${cluster.address}]" else cluster.address
          }:${port}";
          secret = "credential:cluster-secret";
        };
        listener = [
          {
            protocol = "cluster";
            bind = [ place ];
          }
        ];
      };
    };

    systemd.sockets.postrider-cluster = {
      description = "Postrider: other nodes";
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        Backlog = 1024;
        BindIPv6Only = "both";
        FileDescriptorName = "cluster";
        ListenStream = place;
        Service = "postrider-access.service";
      };
    };

    # Files of the queue lie on the shared file system too: their owner has the same number everywhere.
    users = {
      groups.postrider.gid = number;
      users.postrider-mta.uid = number;
    };
  };
}
