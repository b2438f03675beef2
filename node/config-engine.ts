/** What a volunteer can set about the program that seeds: our own engine, or one that runs already. */
import { UserError } from './commands/user-error.ts'
import { choice, orNull, type readSettings, type Settings, text, webAddress } from './settings.ts'

export type EngineChoice =
  | { readonly kind: 'own' }
  | {
      readonly kind: 'qbittorrent' | 'transmission'
      /** With `/` at its end. */
      readonly url: string
      /** null: it lets us in without. */
      readonly user: string | null
      readonly password: string | null
      /** The data folder as that program sees it; null: the same path. */
      readonly folder: string | null
    }

/** Shared by volunteers and coordinators. */
export const ENGINE_SETTINGS = {
  engine: {
    value: '<name>',
    help: 'what seeds: own, qbittorrent, transmission',
    kind: choice(['own', 'qbittorrent', 'transmission']),
    default: 'own',
  },
  engineUrl: {
    value: '<url>',
    help: 'where that program is controlled, such as http://127.0.0.1:8080/ (qBittorrent) or http://127.0.0.1:9091/ (Transmission)',
    kind: orNull(webAddress),
    default: null,
  },
  engineUser: {
    value: '<name>',
    help: 'the user name there; its password comes from WIKISEED_ENGINE_PASSWORD or WIKISEED_ENGINE_PASSWORD_FILE',
    kind: orNull(text()),
    default: null,
  },
  enginePassword: {
    value: null,
    help: 'the password of --engine-user',
    kind: orNull(text()),
    default: null,
    secret: true,
  },
  engineFolder: {
    value: '<dir>',
    help: 'the data folder as that program sees it (default: the same path)',
    kind: orNull(text()),
    default: null,
  },
} satisfies Settings

/** Throws UserError of one sentence. */
export function engineChoiceOf(
  values: ReturnType<typeof readSettings<typeof ENGINE_SETTINGS>>,
): EngineChoice {
  const {
    engine: kind,
    engineUrl: url,
    engineUser: user,
    enginePassword: password,
    engineFolder: folder,
  } = values
  if (kind === 'own') {
    if (url !== null) throw new UserError('--engine-url: --engine says which program is there')
    return { kind }
  }
  if (url === null) throw new UserError(`--engine-url is needed with --engine ${kind}`)
  if (user === null && password !== null) throw new UserError('--engine-user is needed with a password')
  return { kind, url, user, password, folder }
}
