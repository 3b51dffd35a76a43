//! What a store consists of, a line for each part and in words that are the same for both databases: to hold one against
//! the other.

use super::{Engine, Store};
use crate::Database;

const SQLITE: &str = "
    SELECT m.name || '.' || c.name || ' ' || c.type || CASE WHEN c.\"notnull\" OR c.pk THEN ' NOT NULL' ELSE '' END
            || coalesce(' DEFAULT ' || c.dflt_value, '') || CASE WHEN c.pk THEN ' KEY ' || c.pk ELSE '' END AS line
        FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
    UNION ALL SELECT 'UNIQUE ' || m.name || ' (' || (SELECT group_concat(name, ', ') FROM pragma_index_info(i.name)) || ')'
        FROM sqlite_master AS m JOIN pragma_index_list(m.name) AS i WHERE m.type = 'table' AND i.origin = 'u'
    UNION ALL SELECT 'REFERENCE ' || m.name || '.' || f.\"from\" || ' ' || f.\"table\"
        FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'
    UNION ALL SELECT 'CHECKS ' || name || ' ' || ((length(sql) - length(replace(sql, 'CHECK (', ''))) / 7)
        FROM sqlite_master WHERE type = 'table' AND sql LIKE '%CHECK (%'
    UNION ALL SELECT upper(type) || ' ' || name FROM sqlite_master WHERE type <> 'table' AND name NOT LIKE 'sqlite%'";

const POSTGRES: &str = "
    WITH tables AS (SELECT oid, relname::text AS name FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'),
        constraints AS (SELECT k.*, t.name,
                (SELECT string_agg(a.attname, ', ' ORDER BY array_position(k.conkey, a.attnum))
                    FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum = ANY (k.conkey)) AS columns
            FROM pg_constraint AS k JOIN tables AS t ON t.oid = k.conrelid)
    SELECT t.name || '.' || c.attname || CASE WHEN c.atttypid = 'bigint'::regtype THEN ' INTEGER'
                WHEN c.atttypid = 'text'::regtype AND c.attcollation = '\"C\"'::regcollation THEN ' TEXT' ELSE ' ?' END
            || CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END
            || coalesce(' DEFAULT ' || split_part(pg_get_expr(d.adbin, d.adrelid), '::', 1), '')
            || coalesce(' KEY ' || array_position(k.conkey, c.attnum), '') AS line
        FROM tables AS t JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = c.attnum
        LEFT JOIN constraints AS k ON k.conrelid = t.oid AND k.contype = 'p'
    UNION ALL SELECT 'UNIQUE ' || name || ' (' || columns || ')' FROM constraints WHERE contype = 'u'
    UNION ALL SELECT 'REFERENCE ' || name || '.' || columns || ' ' || confrelid::regclass FROM constraints
        WHERE contype = 'f'
    UNION ALL SELECT 'CHECKS ' || name || ' ' || count(*) FROM constraints WHERE contype = 'c' GROUP BY name
    UNION ALL SELECT 'INDEX ' || i.indexrelid::regclass FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid
        WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
    UNION ALL SELECT 'VIEW ' || viewname FROM pg_views WHERE schemaname = current_schema()
    UNION ALL SELECT 'TRIGGER ' || g.tgname FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid
        WHERE NOT g.tgisinternal AND c.relnamespace = current_schema()::regnamespace";

/// What PostgreSQL has of its own: positions come late, so that something else is the key.
const LATE_POSITIONS: [&str; 3] = ["events.position ", "events.inserted ", "UNIQUE events (position)"];

/// Panics unless the store of `database` has the same tables, columns, constraints, indexes, views and triggers on both.
#[track_caller]
pub fn assert_same_on_both(database: &Database) {
    let shape = |engine: Engine, sql| {
        let rows = engine.run(|| Store::new(database)).run(sql, &[]);
        #[allow(clippy::panic, reason = "for tests only")]
        let rows = rows.unwrap_or_else(|error| panic!("{error}"));
        let mut lines: Vec<_> = rows.iter().filter_map(|row| row.opt_string("line").ok().flatten()).collect();
        lines.retain(|line| !LATE_POSITIONS.iter().any(|late| line.starts_with(late)));
        lines.sort();
        lines
    };
    let (sqlite, postgres) = (shape(Engine::Sqlite, SQLITE), shape(Engine::Postgres, POSTGRES));
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, postgres);
}
