# What ClamAV is to find in the tests, and the signature by which it finds it; the official ones are not there.
{ pkgs }:
rec {
  # The harmless test file of EICAR, in two pieces so that no scanner stops at this source.
  text = ''X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR'' + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
  signature =
    pkgs.runCommand "test.ndb"
      {
        inherit text;
        passAsFile = [ "text" ];
      }
      ''
        echo "Test-File:0:*:$(od -An -v -t x1 "$textPath" | tr -d ' \n')" > $out
      '';
}
