"""The webmail's JSON interface: who is let in, what is refused, and that answers are what the OpenAPI description says.

The steps are in the files `webmail_api_*.py`; later ones need what earlier ones have done.
"""

import webmail_api_access
import webmail_api_contacts
import webmail_api_events
import webmail_api_letters
import webmail_api_messages
import webmail_api_preferences
from server import main

main(
    webmail_api_access.it_describes_itself,
    webmail_api_access.only_who_has_signed_in,
    webmail_api_access.guessers_are_banned_together_with_imap,
    webmail_api_messages.folders,
    webmail_api_letters.a_letter_is_sent_once,
    webmail_api_letters.what_must_not_be_sent_is_not,
    webmail_api_letters.drafts_grow,
    webmail_api_messages.marks_moves_and_search,
    webmail_api_messages.moves_teach_the_filter,
    webmail_api_messages.hostile_mail_is_tame,
    webmail_api_access.answers_are_kept_for_one_account,
    webmail_api_access.nobody_reads_the_mail_of_others,
    webmail_api_messages.changes_are_told,
    webmail_api_messages.messages_are_taken_over,
    webmail_api_preferences.preferences_are_kept,
    webmail_api_preferences.devices_are_set_up,
    webmail_api_messages.what_outlook_packs_is_unpacked,
    webmail_api_contacts.contacts_are_edited,
    webmail_api_contacts.groups_of_contacts_are_written_to,
    webmail_api_messages.lists_are_by_date,
    webmail_api_messages.lists_can_be_left,
    webmail_api_contacts.contacts_come_by_mail,
    webmail_api_contacts.contacts_go_into_files_and_come_back,
    webmail_api_letters.receipts_are_sent_once,
    webmail_api_letters.receipts_go_although_the_browser_leaves,
    webmail_api_events.invitations_are_answered,
    webmail_api_events.answers_are_noted_in_ones_own_event,
    webmail_api_preferences.rules_are_a_script,
    webmail_api_messages.messages_are_grouped,
    webmail_api_access.too_much_is_refused,
    webmail_api_access.logins_end,
)
