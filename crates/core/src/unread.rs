//! How many messages a user has not read: one piece of SQL for all who count.
//!
//! Counts stop at 1,000, which then means 1,000 or more, so that a year away costs no more than a week.

/// Live messages by others after `$sequence`.
macro_rules! unread_sql {
    ($channel:literal, $user:literal, $sequence:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT 1 FROM messages n WHERE n.channel_id = ",
            $channel,
            " AND n.server_sequence > ",
            $sequence,
            " AND n.deleted = 0 AND n.sender_id <> ",
            $user,
            " AND NOT ",
            $crate::erasure::erased_sql!("n"),
            " LIMIT 1000))"
        )
    };
}
pub(crate) use unread_sql;

/// Those of them that mention the user or a role that the user has.
macro_rules! mentions_sql {
    ($channel:literal, $user:literal, $sequence:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT DISTINCT t.server_sequence FROM mentions t WHERE t.channel_id = ",
            $channel,
            " AND t.target IN (SELECT 'user:' || ",
            $user,
            " UNION ALL SELECT 'role:everyone'
                               UNION ALL SELECT 'role:' || role_id FROM user_roles WHERE user_id = ",
            $user,
            ")
               AND t.server_sequence > ",
            $sequence,
            " AND t.sender_id <> ",
            $user,
            " AND NOT ",
            $crate::erasure::erased_mention_sql!("t"),
            " LIMIT 1000))"
        )
    };
}
pub(crate) use mentions_sql;
