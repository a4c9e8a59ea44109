# Promise: from outside a server answers on the ports of the protocols that are enabled, and on no other; what a
# protocol is switched off for, the monitoring page, the figures and the database cannot be reached.
{ self }:
{ pkgs, ... }:
let
  # Many are asked together. Refused ports answer at once; a machine that is busy may take its time.
  scan = pkgs.writeText "scan.py" ''
    import asyncio, sys

    async def is_open(gate, host, port):
        async with gate:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 30)
                writer.close()
                return port
            except (OSError, asyncio.TimeoutError):
                return None

    async def main(host):
        gate = asyncio.Semaphore(200)
        found = await asyncio.gather(*(is_open(gate, host, port) for port in range(1, 10000)))
        print(*(port for port in found if port))

    asyncio.run(main(sys.argv[1]))
  '';
in
{
  name = "only-expected-ports-answer";
  globalTimeout = 600;

  nodes = {
    outside.environment = {
      etc."scan.py".source = scan;
      systemPackages = [ pkgs.python3 ];
    };
    server = {
      imports = [ (import ./lib/server.nix { inherit self; }) ];
      services.postrider = {
        database.type = "mysql";
        listeners = {
          imap.enable = false;
          # In use, for this machine only.
          pop3s = {
            enable = true;
            addresses = [ "::1" ];
          };
        };
      };
      # Nothing is gained by waiting for every port that never answers.
      networking.firewall.rejectPackets = true;
      virtualisation.memorySize = 2048;
    };
  };

  testScript =
    { nodes, ... }:
    ''
      start_all()
      for role in ("access", "mta", "dashboard"):
          server.wait_for_unit(f"postrider-{role}.service")

      with subtest("what is served to the machine itself is served"):
          for port in (995, 8080, 9325):
              server.wait_for_open_port(port, "::1")

      with subtest("from outside exactly the mail protocols answer"):
          out = outside.succeed("python3 /etc/scan.py ${nodes.server.networking.primaryIPAddress}")
          assert out.split() == ["25", "465", "587", "993"], out

      with subtest("the firewall opens these and no other"):
          opened = "${toString nodes.server.networking.firewall.allowedTCPPorts}"
          assert opened.split() == ["25", "465", "587", "993"], opened
    '';
}
