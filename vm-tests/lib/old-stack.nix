# A Postfix and a Dovecot as an administrator may have them before: accounts in files, mail by LMTP into Maildirs under
# the same root. Units of our own, so that they can run beside the declaration that will replace them.
{
  domain ? "example.test",
}:
{ pkgs, ... }:
let
  root = "/var/mail/vhosts";
  accounts = "/etc/old-stack";
  # The two generations of Dovecot's language: since 2.4, and before.
  common = ''
    base_dir = /run/old-dovecot
    log_path = /dev/stderr
    mail_gid = vmail
    mail_uid = vmail
    protocols = imap lmtp
    ssl = no
    service lmtp {
      unix_listener /run/old-stack/lmtp {
        mode = 0666
      }
    }
    namespace inbox {
      inbox = yes
      separator = /
    }
  '';
  dovecotSince24 = pkgs.writeText "dovecot.conf" ''
    dovecot_config_version = 2.4.0
    dovecot_storage_version = 2.4.0
    auth_allow_cleartext = yes
    mail_driver = maildir
    mail_path = ${root}/%{user | domain}/%{user | username}
    passdb passwd-file {
      passwd_file_path = ${accounts}/users
    }
    userdb static {
      fields {
        home = ${root}/%{user | domain}/%{user | username}
      }
    }
    ${common}
  '';
  dovecotBefore24 = pkgs.writeText "dovecot.conf" ''
    disable_plaintext_auth = no
    mail_location = maildir:${root}/%d/%n
    passdb {
      driver = passwd-file
      args = ${accounts}/users
    }
    userdb {
      driver = static
      args = home=${root}/%d/%n
    }
    ${common}
  '';

  main = pkgs.writeText "main.cf" ''
    alias_maps =
    compatibility_level = 3.6
    data_directory = /var/lib/old-postfix
    mydestination =
    myhostname = mail.${domain}
    mynetworks = 127.0.0.0/8 [::1]/128
    queue_directory = /var/spool/old-postfix
    smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
    virtual_alias_maps = texthash:${accounts}/aliases
    virtual_mailbox_domains = ${domain}
    virtual_mailbox_maps = texthash:${accounts}/mailboxes
    virtual_transport = lmtp:unix:/run/old-stack/lmtp
  '';
  master = pkgs.writeText "master.cf" ''
    smtp      inet  n - n - - smtpd
    pickup    unix  n - n 60 1 pickup
    cleanup   unix  n - n - 0 cleanup
    qmgr      unix  n - n 300 1 qmgr
    rewrite   unix  - - n - - trivial-rewrite
    bounce    unix  - - n - 0 bounce
    defer     unix  - - n - 0 bounce
    trace     unix  - - n - 0 bounce
    error     unix  - - n - - error
    retry     unix  - - n - - error
    lmtp      unix  - - n - - lmtp
    smtp      unix  - - n - - smtp
    anvil     unix  - - n - 1 anvil
    proxymap  unix  - - n - - proxymap
    scache    unix  - - n - 1 scache
    tlsmgr    unix  - - n 1000? 1 tlsmgr
    postlog   unix-dgram n - n - 1 postlogd
  '';
in
{
  environment.etc = {
    "old-stack/aliases".text = "office@${domain} bob@${domain}\n";
    "old-stack/mailboxes".text = "ann@${domain} ann\nbob@${domain} bob\n";
  };

  users = {
    groups = {
      dovecot = { };
      dovenull = { };
      postdrop = { };
      postfix = { };
    };
    users = {
      dovecot = {
        group = "dovecot";
        isSystemUser = true;
      };
      dovenull = {
        group = "dovenull";
        isSystemUser = true;
      };
      postfix = {
        group = "postfix";
        isSystemUser = true;
      };
    };
  };

  systemd.services = {
    old-dovecot = {
      description = "The mailboxes of before";
      wantedBy = [ "multi-user.target" ];
      after = [ "systemd-tmpfiles-setup.service" ];
      path = [ pkgs.dovecot ];
      serviceConfig.RuntimeDirectory = "old-stack";
      script = ''
        export PATH=${pkgs.dovecot}/sbin:$PATH
        for user in ann bob; do
          echo "$user@${domain}:$(cat /etc/secrets/$user)"
        done > /run/old-stack/users
        case $(dovecot --version) in
          2.[0-3].*) config=${dovecotBefore24} ;;
          *) config=${dovecotSince24} ;;
        esac
        sed 's#${accounts}/users#/run/old-stack/users#' "$config" > /run/old-stack/dovecot.conf
        exec dovecot -F -c /run/old-stack/dovecot.conf
      '';
    };
    old-postfix = {
      description = "The mail transfer of before";
      wantedBy = [ "multi-user.target" ];
      after = [ "old-dovecot.service" ];
      script = ''
        export PATH=${pkgs.postfix}/sbin:$PATH
        mkdir -p /etc/old-postfix /var/spool/old-postfix /var/lib/old-postfix
        chown postfix /var/lib/old-postfix
        cp ${main} /etc/old-postfix/main.cf
        cp ${master} /etc/old-postfix/master.cf
        chmod 644 /etc/old-postfix/*.cf
        # Where the package has put its programs, when it does not know it itself.
        if [ -d ${pkgs.postfix}/libexec/postfix ]; then
          {
            echo "command_directory = ${pkgs.postfix}/sbin"
            echo "daemon_directory = ${pkgs.postfix}/libexec/postfix"
            echo "meta_directory = ${pkgs.postfix}/etc/postfix"
            echo "shlib_directory = no"
          } >> /etc/old-postfix/main.cf
        fi
        exec postfix -c /etc/old-postfix start-fg
      '';
    };
  };
}
