# How a unit reaches the database as its user: the address as a credential, and what its sandbox must allow.
{ lib }:
let
  inherit (import ./hardening.nix { inherit lib; }) outbound;
in
cfg: user: {
  credentials = {
    LoadCredential = lib.optional (cfg.database.urlFile != null) "database-url:${cfg.database.urlFile}";
    SetCredential = lib.optional (
      cfg.database.localUrls ? ${user}
    ) "database-url:${cfg.database.localUrls.${user}}";
  };
  relax =
    lib.optionalAttrs (cfg.database.urlFile != null) (outbound "the database is on another machine")
    // lib.optionalAttrs (cfg.database.localUrls ? ${user}) {
      PrivateUsers = {
        value = false;
        because = "the database recognises the role by its user id over the socket";
      };
    };
}
