/**
 * The only file that imports the npm package ssh2; everything else in `master/` takes its names from here,
 * so that the library can be replaced or watched in one place. `ssh2_crypto.ts` changes a part of it.
 */

import "./ssh2_crypto.ts"; // must come first
// @ts-types="@types/ssh2"
import ssh2 from "ssh2";
// @ts-types="@types/ssh2"
import type {
  AnyAuthMethod,
  AuthenticationType,
  AuthHandlerMiddleware,
  Client as Ssh2Client,
  ClientChannel,
  ConnectConfig,
  ParsedKey,
  Prompt,
  PublicKeyEntry,
  SFTPWrapper,
} from "ssh2";

/** The client class of ssh2. */
export const Client = ssh2.Client;
/** Agents over a Unix socket, for `authentication.ts`. */
export const OpenSSHAgent = ssh2.OpenSSHAgent;
export const BaseAgent = ssh2.BaseAgent;
/** Parses private and public keys. */
export const parseKey = ssh2.utils.parseKey;

export type {
  AnyAuthMethod,
  AuthenticationType,
  AuthHandlerMiddleware,
  ClientChannel,
  ConnectConfig,
  ParsedKey,
  Prompt,
  PublicKeyEntry,
  SFTPWrapper,
  Ssh2Client,
};
export type OpenSSHAgent = InstanceType<typeof OpenSSHAgent>;
