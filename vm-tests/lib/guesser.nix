# A separate machine with only a mail program, for guessing passwords.
{ pkgs, ... }:
{
  environment.etc.mail-client.source = ./client.py;
  environment.systemPackages = [ pkgs.python3 ];
}
