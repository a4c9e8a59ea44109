# The sandbox every unit starts from, and the only way out of a part of it: a relaxation with its reason.
{ lib }:
let
  base = {
    AmbientCapabilities = "";
    BindPaths = [ ];
    CapabilityBoundingSet = "";
    DeviceAllow = "";
    DevicePolicy = "closed";
    IPAddressDeny = "any";
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateIPC = true;
    PrivateNetwork = true;
    PrivateTmp = true;
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [ "AF_UNIX" ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
    UMask = "0077";
  };
in
{
  inherit base;

  # What talks to the network by itself, not only through the sockets systemd hands it.
  outbound = because: {
    IPAddressDeny = {
      value = "";
      inherit because;
    };
    PrivateNetwork = {
      value = false;
      inherit because;
    };
    RestrictAddressFamilies = {
      value = [
        "AF_INET"
        "AF_INET6"
        "AF_UNIX"
      ];
      inherit because;
    };
  };

  # What works on files that lie in homes: it sees those, and nothing else there.
  inHomes =
    paths:
    let
      isIn = path: home: path == home || lib.hasPrefix "${home}/" path;
      found = lib.filter (
        path:
        lib.any (isIn (toString path)) [
          "/home"
          "/root"
          "/run/user"
        ]
      ) paths;
      because = "its files lie in somebody's home";
    in
    lib.optionalAttrs (found != [ ]) {
      BindPaths = {
        value = map toString found;
        inherit because;
      };
      ProtectHome = {
        value = "tmpfs";
        inherit because;
      };
    };

  # harden { Key = { value = …; because = "…"; }; }: the base with named relaxations. A relaxation of a key that the
  # base does not hold is a mistake, and so is one without a reason.
  harden =
    relax:
    let
      check =
        key: relaxation:
        lib.throwIfNot (base ? ${key}) "hardening: `${key}` is no key of the base, nothing to relax" (
          lib.throwIfNot (
            relaxation.because or "" != ""
          ) "hardening: the relaxation of `${key}` gives no reason" relaxation.value
        );
    in
    base // lib.mapAttrs check relax;
}
