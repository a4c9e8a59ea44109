# What both the menu and the installer ask: who the server is, and whether the answers are names that NixOS and the server take.
# They use `ask`, `name`, `domain` and `user` of the script around them.
''
  # Kept until the machine is off: what was set up is offered to the installation.
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
    is_domain "$name" || { echo "$name is no name of a host: lower case, with its domain." >&2; return 1; }
    ask "Domain of the mail addresses (such as example.com)" domain
    is_domain "$domain" || { echo "$domain is no domain: lower case." >&2; return 1; }
    ask "First user (such as john, for john@$domain)" user
    is_user "$user" || { echo "$user is no name of a user: lower case, without @." >&2; return 1; }
  }
''
