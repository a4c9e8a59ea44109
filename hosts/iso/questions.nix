# Questions of both the menu and the installer: the server's names, checked against what NixOS and the server accept.
# They use `ask`, `name`, `domain` and `user` of the script around them.
''
  # Kept until the machine is off: the installation offers it.
  remembered=/run/postrider-menu
  label='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  is_domain() {
    [ "''${#1}" -le 253 ] && [[ $1 =~ ^$label(\.$label)+$ ]]
  }
  is_user() {
    [ "''${#1}" -le 64 ] && [[ $1 =~ ^[a-z0-9_-]+(\.[a-z0-9_-]+)*$ ]]
  }
  ask_who() {
    ask "Name of this server (such as mail.example.com)" name
    is_domain "$name" || { echo "$name is not a host name: lower case, with its domain." >&2; return 1; }
    ask "Domain of the mail addresses (such as example.com)" domain
    is_domain "$domain" || { echo "$domain is not a domain: lower case." >&2; return 1; }
    ask "First user (such as john, for john@$domain)" user
    is_user "$user" || { echo "$user is not a user name: lower case, without @." >&2; return 1; }
  }
''
