# Promise: when a listener does not answer after a switch, the previous configuration is restored automatically, without
# loss of mail, even if the failed one added users; a later switch that fails is undone too; a start of the machine
# undoes nothing. The undone system is not tried again as the next night's upgrade.
{ self }:
{ lib, pkgs, ... }:
let
  inherit (import ../modules/lib/rollback.nix) noteBefore;
  # Without NixOS, a switch is simulated by systems that do the same to the units.
  stage =
    name: units:
    pkgs.writeTextFile {
      name = "stage-${name}";
      executable = true;
      destination = "/bin/switch-to-configuration";
      text = ''
        #!/bin/sh
        # One at a time: another one is rejected.
        mkdir -p /run/nixos
        exec 9>>/run/nixos/switch-to-configuration.lock
        flock --nonblock 9 || exit 1
        # As the activation of a real one.
        systemConfig=$(dirname "$(dirname "$(readlink -f "$0")")")
        ${noteBefore}
        ln -sfn "$systemConfig" /run/current-system
        ${units}
        systemctl restart postrider-health-gate.service
        # There is more to do before it ends.
        sleep 3
      '';
    };
  # It does not start again, because a client of another protocol would start the role, which needs its sockets.
  held = "/run/systemd/system/postrider-imap.socket.d/held.conf";
  silence = "mkdir -p ${dirOf held}; printf '[Unit]\\nAssertPathExists=/nowhere\\n' > ${held}; systemctl daemon-reload; systemctl stop postrider-imap.socket";
  staged = {
    good = stage "good" ''
      umount /etc/postrider/postrider.toml 2>/dev/null
      rm -f ${held}
      systemctl daemon-reload
      # As in a switch: a service that holds its socket is stopped before the socket restarts.
      systemctl stop postrider-access.service
      systemctl start postrider-imap.socket postrider-access.service
    '';
    broken = stage "broken" ''
      mount --bind /etc/with-carol.toml /etc/postrider/postrider.toml
      systemctl reload postrider-access.service
      ${silence}
    '';
    # Equally broken, from the next night.
    worse = stage "worse" silence;
  };
in
{
  name = "failed-switch-is-undone";
  globalTimeout = 900;

  nodes.server =
    { config, ... }:
    {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider.appliance = {
        autoRollback = true;
        # Both are made by the test.
        autoUpgrade = "path:/run/flake";
        nixpkgs = "path:/run/newest";
        patience = 8;
      };
      # A switch would try to install it.
      boot.loader.grub.enable = false;
      specialisation.broken.configuration = {
        services.postrider = {
          domains."example.test".users.carol = { };
          # Moved, so that it is reopened…
          listeners.imap.port = 1143;
        };
        # … which fails.
        systemd.sockets.postrider-imap.unitConfig.AssertPathExists = "/nowhere";
      };
      # Fails as well, and is a different system.
      specialisation.worse.configuration = {
        services.postrider.listeners.imap.port = 1144;
        systemd.sockets.postrider-imap.unitConfig.AssertPathExists = "/nowhere";
      };
      system.extraDependencies = lib.attrValues staged;
      environment.etc =
        lib.mapAttrs' (name: system: lib.nameValuePair "stage/${name}" { source = system; }) staged
        // {
          "with-carol.toml".source = (pkgs.formats.toml { }).generate "postrider.toml" (
            lib.recursiveUpdate config.services.postrider.settings {
              accounts.declared = (pkgs.formats.json { }).generate "accounts.json" {
                domains."example.test".users =
                  lib.genAttrs [ "ann" "bob" ] (user: {
                    hashed_password_file = "credential:password-${user}_at_example.test";
                  })
                  // {
                    carol = { };
                  };
              };
            }
          );
        };
      environment.systemPackages = [ pkgs.nix ];
    };

  testScript =
    { nodes, ... }:
    ''
      ${builtins.readFile ./lib/mail.py}

      PROFILE = "/nix/var/nix/profiles/system"
      SILENCE = ${builtins.toJSON silence}


      def switch_to(system: str) -> None:
          """As `nixos-rebuild switch` does it, whose own result is not what is tested."""
          server.succeed(f"nix-env --profile {PROFILE} --set {system}")
          server.execute(f"{PROFILE}/bin/switch-to-configuration switch")


      def current() -> str:
          return server.succeed("readlink -f /run/current-system").strip()


      start_all()
      server.wait_for_unit("postrider-health-gate.service")
      if is_nixos(server):
          good = current()
          broken, worse = (
              server.succeed(f"readlink -f /run/current-system/specialisation/{name}").strip() for name in ("broken", "worse")
          )
          server.succeed(f"nix-env --profile {PROFILE} --set {good}")
      else:
          good, broken, worse = (
              server.succeed(f"readlink -f /etc/stage/{name}").strip() for name in ("good", "broken", "worse")
          )
          server.succeed("mkdir -p /nix/var/nix/profiles")
          # The store of this guest knows nothing of what was put into it.
          for path in (good, broken, worse):
              server.succeed(
                  f"printf '%s\\n\\n0\\n' {path} | nix-store --register-validity"
              )
          server.succeed(f"nix-env --profile {PROFILE} --set {good}")
          server.succeed(f"ln -sfn {good} /run/current-system; ln -sfn {good} /run/booted-system")

      send(server, "ann@example.test", "ann", "bob@example.test", "before")
      # The last one is another generation: the one before it in the profile has failed, too.
      for time, system in (("first", broken), ("second", broken), ("third", worse)):
          with subtest(f"a switch that leaves a listener silent is undone, the {time} time"):
              switch_to(system)
              server.wait_until_succeeds(f"test $(readlink -f {PROFILE}) = {good}", timeout=120)
              server.wait_until_succeeds(f"test $(readlink -f /run/current-system) = {good}", timeout=120)
              server.wait_until_succeeds("systemctl is-active postrider-health-gate.service", timeout=120)
              wait_for_mail(server, "bob@example.test", "bob", "before")
              # The failed one had one more user: only undoing a switch may remove a user without asking.
              server.succeed("postrider --json plan --without-passwords | jq --exit-status '.changes == []'")
              server.wait_until_fails("test -e /run/postrider-rolled-back", timeout=60)
              server.wait_until_succeeds("systemctl show -P ActiveState postrider-rollback.service | grep -x inactive", timeout=60)

      with subtest("an upgrade to what was undone waits for something newer"):

          def offer(system: str) -> None:
              server.succeed(f"echo '{{ outputs = _: {{ system = \"{system}\"; }}; }}' > /run/newest/flake.nix")

          server.succeed("mkdir -p /run/flake /run/newest /run/locked")
          server.succeed("echo '{ outputs = _: { system = throw \"of the lock file\"; }; }' > /run/locked/flake.nix")
          outputs = "{ nixpkgs, ... }: { nixosConfigurations.server.config.system.build.toplevel = nixpkgs.system; }"
          server.succeed(f"echo '{{ inputs.nixpkgs.url = \"path:/run/locked\"; outputs = {outputs}; }}' > /run/flake/flake.nix")
          offer(worse)
          server.succeed("systemctl start nixos-upgrade.service")
          said = server.succeed("journalctl -u nixos-upgrade.service --no-pager")
          assert "was undone, and there is nothing newer yet" in said, said
          ran = server.succeed("systemctl show -P ExecMainStartTimestampMonotonic nixos-upgrade.service").strip()
          assert ran == "0", said
          condition = server.succeed("systemctl cat nixos-upgrade.service | sed -n 's/^ExecCondition=//p'").strip()
          server.fail(condition)
          offer("/nix/store/newer")
          server.succeed(condition)

      with subtest("what was only tried out leads back to the profile, not behind it"):
          generation = server.succeed(f"readlink {PROFILE}")
          if is_nixos(server):
              server.execute(f"{broken}/bin/switch-to-configuration test")
          else:
              server.succeed(f"echo {good} > /run/postrider-before; ln -sfn {broken} /run/current-system")
              server.succeed(SILENCE)
              server.execute("systemctl restart postrider-health-gate.service")
          server.wait_until_succeeds(f"test $(readlink -f /run/current-system) = {good}", timeout=120)
          server.wait_until_succeeds("systemctl is-active postrider-health-gate.service", timeout=120)
          assert server.succeed(f"readlink {PROFILE}") == generation

      with subtest("a gate that fails without a switch changes nothing"):
          server.succeed(SILENCE)
          server.fail("systemctl restart postrider-health-gate.service")
          server.wait_until_fails("systemctl is-active postrider-rollback.service", timeout=60)
          server.fail("systemctl is-active postrider-health-gate.service")
          assert server.succeed(f"readlink {PROFILE}") == generation
          # Neither does it keep a later one from being undone.
          server.fail("test -e /run/postrider-rolled-back")
          assert server.succeed("cat /var/lib/postrider-appliance/undone").strip() != current()
    '';
}
