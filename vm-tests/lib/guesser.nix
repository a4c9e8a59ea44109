# A machine elsewhere with nothing but a mail program, for those who guess passwords.
{ pkgs, ... }:
{
  environment.etc.mail-client.source = ./client.py;
  environment.systemPackages = [ pkgs.python3 ];
}
