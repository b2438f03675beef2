// Gists as the API shows them.
import { blobSha, type Gist, type Revision } from './store.ts'

/** Content in the API stops here; the raw address has the rest. */
const contentMaxBytes = 1_000_000
const filesMax = 300

export type Addresses = { api: string; raw: string; login: string }

export function gistJson(
  gist: Gist,
  addresses: Addresses,
  revision = gist.revisions[0],
): Record<string, unknown> {
  const url = `${addresses.api}/gists/${gist.id}`
  const owner = ownerJson(addresses)
  return {
    url,
    forks_url: `${url}/forks`,
    commits_url: `${url}/commits`,
    id: gist.id,
    node_id: Buffer.from(`04:Gist${gist.id}`).toString('base64'),
    git_pull_url: `https://gist.github.com/${gist.id}.git`,
    git_push_url: `https://gist.github.com/${gist.id}.git`,
    html_url: `https://gist.github.com/${gist.id}`,
    files: filesJson(gist, revision, addresses),
    public: gist.public,
    created_at: gist.createdAt,
    updated_at: gist.updatedAt,
    description: gist.description,
    comments: 0,
    user: null,
    comments_url: `${url}/comments`,
    owner,
    forks: [],
    history: gist.revisions.map((row) => ({
      user: owner,
      version: row.version,
      committed_at: row.committedAt,
      change_status: {
        total: row.additions + row.deletions,
        additions: row.additions,
        deletions: row.deletions,
      },
      url: `${url}/${row.version}`,
    })),
    truncated: Object.keys(revision?.files ?? {}).length > filesMax,
  }
}

function filesJson(
  gist: Gist,
  revision: Revision | undefined,
  { raw, login }: Addresses,
): Record<string, unknown> {
  const files: Record<string, unknown> = {}
  for (const [name, content] of Object.entries(revision?.files ?? {}).slice(0, filesMax)) {
    const bytes = Buffer.from(content)
    const truncated = bytes.length > contentMaxBytes
    files[name] = {
      filename: name,
      type: typeOf(name),
      language: name.endsWith('.json') ? 'JSON' : name.endsWith('.txt') ? 'Text' : null,
      raw_url: `${raw}/${login}/${gist.id}/raw/${blobSha(content)}/${encodeURIComponent(name)}`,
      size: bytes.length,
      truncated,
      content: truncated
        ? new TextDecoder().decode(bytes.subarray(0, contentMaxBytes), { stream: true })
        : content,
    }
  }
  return files
}

export function typeOf(name: string): string {
  if (name.endsWith('.json')) return 'application/json'
  if (name.endsWith('.xml')) return 'application/xml'
  return 'text/plain'
}

function ownerJson({ api, login }: Addresses): Record<string, unknown> {
  const user = `${api}/users/${login}`
  return {
    login,
    id: 1958953,
    node_id: 'MDQ6VXNlcjE5NTg5NTM=',
    avatar_url: 'https://avatars.githubusercontent.com/u/1958953?v=4',
    gravatar_id: '',
    url: user,
    html_url: `https://github.com/${login}`,
    gists_url: `${user}/gists{/gist_id}`,
    type: 'User',
    site_admin: false,
  }
}
