/** SQL dumps of a few rows, in the form of mariadb-dump. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export function writeTable(
  folder: string,
  start: string,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): void {
  const value = (one: string | number | null) =>
    typeof one === 'string' ? `'${one.replace(/[\\']/g, '\\$&')}'` : String(one ?? 'NULL')
  const text = [
    '/*M!999999\\- enable the sandbox mode */ ',
    `DROP TABLE IF EXISTS \`${table}\`;`,
    `CREATE TABLE \`${table}\` (`,
    ...columns.map((name) => `  \`${name}\` varbinary(255) NOT NULL,`),
    `  PRIMARY KEY (\`${columns[0]}\`)`,
    ') ENGINE=InnoDB DEFAULT CHARSET=binary;',
    `INSERT INTO \`${table}\` VALUES ${rows.map((row) => `(${row.map(value).join(',')})`).join(',')};`,
    '',
  ]
  writeFileSync(join(folder, `${start}-${table}.sql.gz`), gzipSync(text.join('\n')))
}
